"""The contract of logs as tests, each of which states one sentence of ``crosswire.cluster.log.interface``.

To test the log of a bus, define how to make the bus::

    class TestMyLog(LogContract):
        @asynccontextmanager
        async def bus(self):
            yield MyBus()

Each test uses rooms of its own, so one server may serve all tests. It needs pytest, from the extra
``crosswire[testing]``.
"""

from __future__ import annotations

from crosswire.testing.log_appending import AppendingContract
from crosswire.testing.log_reading import ReadingContract


class LogContract(AppendingContract, ReadingContract):
    """The contract of a log: inherit from it and define :meth:`bus`, and pytest runs it against your log."""
