"""The connections of a listener that have not become WebSockets, and how long they may take for it."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol


class PendingHandshake(Protocol):
    """A connection that can be ended."""

    def drop(self) -> None:
        """Its time is over."""

    def end(self) -> None:
        """Nobody listens any more."""


class PendingHandshakes:
    """Ends what does not get on; one timer of the event loop serves all.

    Args:
        patience: seconds that each has.
    """

    __slots__ = ("_loop", "_patience", "_since", "_timer")

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._since: dict[PendingHandshake, float] = {}  # in the order of time
        self._loop: asyncio.AbstractEventLoop
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._since)

    def add(self, opening: PendingHandshake) -> None:
        """A connection begins."""
        if self._timer is None:
            self._loop = asyncio.get_running_loop()
            self._timer = self._loop.call_later(self._patience, self._sweep)
        self._since[opening] = self._loop.time()

    def discard(self, opening: PendingHandshake) -> None:
        """It is a WebSocket, or gone; may be said again."""
        self._since.pop(opening, None)

    def end(self) -> None:
        """End all there are."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for opening in list(self._since):
            opening.end()
        self._since.clear()

    def _sweep(self) -> None:
        self._timer = None
        for opening, since in list(self._since.items()):
            left = since + self._patience - self._loop.time()
            if left > 0:
                self._timer = self._loop.call_later(left, self._sweep)
                return
            del self._since[opening]
            opening.drop()


def _is(transport: asyncio.Transport, protocol: object) -> bool:
    return transport.get_protocol() is protocol


def feed_buffered_protocol(transport: asyncio.Transport, protocol: Any, data: bytes) -> None:
    """Give a buffered protocol what was read for it, until it wants no more."""
    while data and not transport.is_closing() and _is(transport, protocol):
        buffer = protocol.get_buffer(len(data))
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]
