"""Buffers events until the handlers of ``on_open`` have ended."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from crosswire.core.messages import PlacedMessage
from crosswire.transport.open_connection import OpenConnection

MAX_BUFFERED_BYTES = 1024 * 1024
"""Bytes of events in the buffer; over it, nothing more is read from the connection."""
MAX_BUFFERED_TIME = 10.0
"""Seconds that events wait for ``on_open`` to end; then they are handled beside it."""

Arrival = tuple[str | bytes, PlacedMessage]


class EventBuffer:
    """Events of one connection that wait for the asynchronous handlers of ``on_open``.

    Args:
        connection: paused while the buffer is full.
        timed_out: called when the first event has waited for :data:`MAX_BUFFERED_TIME`.
    """

    __slots__ = ("_arrivals", "_connection", "_size", "_timed_out", "_timer")

    def __init__(self, connection: OpenConnection, timed_out: Callable[[], None]) -> None:
        self._connection = connection
        self._timed_out = timed_out
        self._arrivals: deque[Arrival] = deque()
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_full(self) -> bool:
        """Whether nothing more is read from the connection."""
        return self._size > MAX_BUFFERED_BYTES

    def add(self, raw: str | bytes, message: PlacedMessage) -> None:
        """Add an event, and stop reading from the connection if the buffer is full."""
        self._arrivals.append((raw, message))
        self._size += len(raw)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(MAX_BUFFERED_TIME, self._timed_out)
        if self.is_full:
            self._connection.pause()

    def take_all(self) -> deque[Arrival]:
        """Return the buffered events, and read from the connection again."""
        if self._timer is not None:
            self._timer.cancel()
        if self.is_full:
            self._connection.resume()
        self._size = 0
        return self._arrivals
