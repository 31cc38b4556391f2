"""All connections of a server, including those not let in yet."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sized
from contextlib import suppress

from crosswire.core.tallies import OTHER
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings
from crosswire.server.address_admission import AddressAdmission
from crosswire.server.running_handlers import AllHandlers
from crosswire.server.session_view import SessionView
from crosswire.server.teardown import Teardown
from crosswire.types import CloseCode

logger = get_logger("crosswire.server")

_COUNTED_CODES = {int(code): str(int(code)) for code in CloseCode}
"""Close codes that are counted by themselves: a client may end a connection with any of thousands."""


class Sessions:
    """The sessions from their opening until their connections are gone.

    Args:
        max_handlers: maximum number of handlers that wait, of all connections together.
        not_begun: handlers that were started and have not begun.

    Attributes:
        opened: how many there have been.
        closes: how many have ended, by close code.
        received: number of messages that clients have sent, without heartbeats.
        addresses: limits by address, which count the sessions; None without any.
        handlers: the handlers of all connections, those that are gone too.
        warnings: log of handlers that outlive their connections.
        teardowns: of connections that are gone and have handlers at work, or messages that are yet to be handled.
    """

    __slots__ = ("_all", "_empty", "addresses", "closes", "handlers", "opened", "received", "teardowns", "warnings")

    def __init__(self, max_handlers: int, not_begun: Sized = (), addresses: AddressAdmission | None = None) -> None:
        self.addresses = addresses
        self._all: dict[SessionView, None] = {}
        self._empty: asyncio.Event | None = None
        self.received = 0
        self.opened = 0
        self.closes: Counter[str] = Counter()
        self.teardowns: dict[Teardown, None] = {}
        self.handlers = AllHandlers(max_handlers, not_begun, self._hurry_teardowns)
        self.warnings = ThrottledWarnings(logger)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[SessionView]:
        return iter(self._all)

    def add(self, session: SessionView) -> None:
        """Add a session whose connection opened."""
        self._all[session] = None
        self.opened += 1
        if self.addresses is not None:
            self.addresses.opened(session.socket.handshake.remote)

    def discard(self, session: SessionView, code: int) -> None:
        """Remove a session whose connection ended with a close code."""
        if self.addresses is not None and session in self._all:
            self.addresses.closed(session.socket.handshake.remote)
        self._all.pop(session, None)
        self.closes[_COUNTED_CODES.get(code, OTHER)] += 1
        if self._empty is not None and not self._all:
            self._empty.set()

    def _hurry_teardowns(self) -> None:
        for teardown in tuple(self.teardowns):
            teardown.hurry()

    async def wait_gone(self, timeout: float) -> None:
        """Wait until there is no session, or ``timeout`` seconds."""
        if not self._all:
            return
        self._empty = asyncio.Event()
        with suppress(TimeoutError):  # the caller sees which sessions are left
            # wait_for would swallow a cancellation that comes with the end of the last session.
            async with asyncio.timeout(timeout):
                await self._empty.wait()
