"""The base of the contract of logs: members of one bus, and rooms that no other test uses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

from crosswire.cluster.interface import Bus
from crosswire.runtime import environment, loops
from crosswire.testing.log_member import LogMember


class LogContractBase(ABC):
    """Members of a bus for the tests of its log."""

    @abstractmethod
    def bus(self) -> AbstractAsyncContextManager[Bus]:
        """Make a bus, for one test and on its event loop."""

    def run(self, test: Coroutine[Any, Any, None]) -> None:
        """Run a test to its end; override it to use another event loop, or to check more."""
        loops.run(test)

    def run_with_members(self, script: Callable[..., Awaitable[None]], count: int = 2) -> None:
        """Run ``script(*members)`` with members of one bus, which have started."""

        async def main() -> None:
            async with self.bus() as bus:
                members = [LogMember(bus, f"node {number}") for number in range(count)]
                try:
                    for member in members:
                        await member.start()
                    await script(*members)
                finally:
                    for member in members:
                        await member.stop()

        self.run(main())


def fresh_id() -> str:
    """Return the id of a room that no other test uses."""
    return environment.token_hex(8)
