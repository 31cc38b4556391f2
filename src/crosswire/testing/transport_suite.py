"""The contract of every transport, as tests: each states one sentence of ``crosswire.transport.interface``.

To test a transport, say how to listen with it and how to connect to that::

    class TestMyTransport(TransportContract):
        @asynccontextmanager
        async def harness(self, acceptor, limits):
            ...
            yield Harness(connect)

It needs pytest, from the extra ``crosswire[testing]``.
"""

from __future__ import annotations

from crosswire.testing.transport_closing import ClosingContract
from crosswire.testing.transport_frames import FrameContract
from crosswire.testing.transport_pauses import PauseContract
from crosswire.testing.transport_receiving import ReceivingContract
from crosswire.testing.transport_requests import RequestContract
from crosswire.testing.transport_sending import SendingContract

__all__ = ["MessageTransportContract", "TransportContract"]


class MessageTransportContract(RequestContract, ReceivingContract, SendingContract, PauseContract, ClosingContract):
    """The contract of every transport; enough for one whose connections are not ``framed`` and can't ping."""


class TransportContract(MessageTransportContract, FrameContract):
    """The contract of transports as a test class: inherit from it and define :meth:`harness`."""
