"""Messages that wait until the application has heard that the connection is open."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from crosswire.core.messages import Message
from crosswire.transport.connector import ClientConnection

MOST = 1024 * 1024
"""Bytes of messages that wait; beyond, nothing more is read from the connection."""
LONGEST = 10.0
"""Seconds that messages wait for ``on_open`` to end; then they are handled beside it."""

Arrival = tuple[str | bytes, Message]


class Held:
    """What waits while the asynchronous handlers of ``on_open`` run, of one connection.

    Args:
        connection: not read from while too much waits.
        too_long: called when messages have waited for :data:`LONGEST`.
    """

    __slots__ = ("_arrivals", "_connection", "_size", "_timer", "_too_long")

    def __init__(self, connection: ClientConnection, too_long: Callable[[], None]) -> None:
        self._connection = connection
        self._too_long = too_long
        self._arrivals: deque[Arrival] = deque()
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_full(self) -> bool:
        """Whether so much waits that nothing more is read."""
        return self._size > MOST

    def add(self, raw: str | bytes, message: Message) -> None:
        """Let a message wait."""
        self._arrivals.append((raw, message))
        self._size += len(raw)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LONGEST, self._too_long)
        if self.is_full:
            self._connection.pause()

    def take(self) -> deque[Arrival]:
        """End the wait; return what waited."""
        if self._timer is not None:
            self._timer.cancel()
        if self.is_full:
            self._connection.resume()
        self._size = 0
        return self._arrivals
