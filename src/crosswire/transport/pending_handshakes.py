"""The connections of a listener that have not become WebSockets yet, with a limit on the time they take."""

from __future__ import annotations

import asyncio
from typing import Protocol


class PendingHandshake(Protocol):
    """A connection that has not become a WebSocket yet."""

    def abort(self) -> None:
        """Drop the connection: the handshake took too long."""

    def close(self) -> None:
        """Close the connection: the listener has stopped."""


class PendingHandshakes:
    """Pending handshakes of one listener; one timer of the event loop serves all.

    Args:
        timeout: seconds that each handshake has.
    """

    __slots__ = ("_loop", "_started", "_timeout", "_timer")

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._started: dict[PendingHandshake, float] = {}  # in the order of time
        self._loop: asyncio.AbstractEventLoop
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._started)

    def add(self, handshake: PendingHandshake) -> None:
        """Start the time of a handshake."""
        if self._timer is None:
            self._loop = asyncio.get_running_loop()
            self._timer = self._loop.call_later(self._timeout, self._abort_overdue)
        self._started[handshake] = self._loop.time()

    def discard(self, handshake: PendingHandshake) -> None:
        """Remove a handshake that is done or whose connection is gone; may be called again."""
        self._started.pop(handshake, None)

    def close(self) -> None:
        """Close all connections whose handshake is pending."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for handshake in list(self._started):
            handshake.close()
        self._started.clear()

    def _abort_overdue(self) -> None:
        self._timer = None
        for handshake, started in list(self._started.items()):
            left = started + self._timeout - self._loop.time()
            if left > 0:
                self._timer = self._loop.call_later(left, self._abort_overdue)
                return
            del self._started[handshake]
            handshake.abort()
