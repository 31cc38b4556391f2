"""Fair turns of the connections whose peers send more than is handled at once, and of those that are new."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context, copy_context
from typing import Protocol

from crosswire.runtime import environment
from crosswire.runtime.log_records import get_logger

READ_SIZE = 64 * 1024
"""Bytes that are read from a connection at once, and that may wait for its turns."""
QUANTUM = 0.00025
"""Seconds in which a connection is served before the next has its turn. What has begun is handled to its end."""
TURN_TIME = 0.002
"""Seconds of a turn of the event loop for all these connections together."""
LONG_TURN = 0.01
"""Seconds of a turn of the event loop that all large reads and all requests of new connections may take, after which
others wait for the next turn."""

logger = get_logger("crosswire.transport")


class HeldReader(Protocol):
    """Reader of a connection, with bytes that wait to be handled."""

    def serve(self, deadline: float) -> bool:
        """Handle bytes until ``deadline``, by ``perf_counter``; return whether some wait for another turn."""
        ...

    def fail(self) -> None:
        """Drop the connection: serving it has failed."""


class ReadTurns:
    """Ring of the connections that have bytes waiting; a little of it is served in each turn of the event loop.

    Between two turns the event loop reads from the other connections, whose peers so wait for a fraction of a
    millisecond, however much others send. One message can take long, such as a list of 1 MiB: after it the turn is
    over, for large reads of other connections too. So it is after many requests of new connections: when all clients
    of another server come at once, the event loop hands over the requests of hundreds in one turn.

    Attributes:
        buffer: where the event loop reads into, shared by all connections: it is handled, or copied, at once.
        is_over: whether this turn of the event loop has had its time: more than a little of a read has to wait, and
            so have requests of new connections.
    """

    __slots__ = ("_context", "_is_scheduled", "_ring", "_spent", "buffer", "is_over")

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(READ_SIZE))
        self._ring: deque[HeldReader] = deque()
        self._is_scheduled = False
        self._context: Context | None = None
        self._spent = 0.0  # seconds of this turn
        self.is_over = False

    def __len__(self) -> int:
        return len(self._ring)

    def begin(self) -> None:
        """Serve in the present context from now on, as the event loop's transports do, and in no handler's."""
        self._context = copy_context()

    def add(self, reader: HeldReader) -> None:
        """Give a connection its turns until it has no more bytes waiting. It must not have them already."""
        self._ring.append(reader)
        self._schedule()

    def count(self, began: float) -> None:
        """Count what a large read has taken since ``began``, by ``perf_counter``, to the time of this turn."""
        if environment.perf_counter() - began > QUANTUM:
            self.count_request(began)

    def count_request(self, began: float) -> None:
        """Count what the request of a new connection has taken since ``began``, however little it is."""
        self._spent = spent = self._spent + (environment.perf_counter() - began)
        self.is_over = spent >= LONG_TURN
        if not self._is_scheduled:
            self._schedule()  # the next turn begins there

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._serve, context=self._context)

    def _serve(self) -> None:
        self._is_scheduled = self.is_over = False
        self._spent = 0.0
        ring, began = self._ring, environment.perf_counter()
        now = began
        end = now + TURN_TIME
        for _ in range(len(ring)):
            reader = ring.popleft()
            if _has_more(reader, now + QUANTUM):
                ring.append(reader)
            now = environment.perf_counter()
            if now >= end:
                break
        if ring:
            self._schedule()
        self.count(began)


def _has_more(reader: HeldReader, deadline: float) -> bool:
    try:
        return reader.serve(deadline)
    except Exception:  # the others must have their turns all the same
        logger.exception("reading from a connection failed")
        reader.fail()
        return False
