"""The bounded queue of messages of one connection that takes no WebSocket frames."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from typing import Protocol

from crosswire.core.skipped_messages import Droppable
from crosswire.runtime import environment
from crosswire.runtime.flusher import Flusher
from crosswire.transport.drain_waiters import DrainWaiters
from crosswire.transport.droppable_frames import DroppableFrames
from crosswire.transport.outbox import OutboxEvents
from crosswire.transport.slow_readers import MIN_RATE, SlowReaders, SlowReaderTimer
from crosswire.types import Close


class MessageWriter(Protocol):
    """Program that sends the messages of an outbox, one by one."""

    def write(self) -> None:
        """Take messages from the outbox until it is empty, now or as fast as the peer reads."""


_PLACE = 16
"""Bytes of a place in a queue, with what the allocator rounds up."""
_ASSUMED_RATE = 16 * 1024
"""Bytes a second of a slow network, by which a large message may take its time."""
_SEALED = float("-inf")
"""Free bytes of a sealed outbox: less than any message needs."""


class MessageOutbox:
    """Bounded queue of the messages of one connection; its last item is the Close.

    The writer is called at the end of a turn. While it is held up, messages wait, up to ``limit`` bytes. Over the limit
    everything is discarded, and ``events`` is called once, in a later turn, so that a fan-out is never disturbed. A
    message is always taken if nothing waits in front of it.

    Args:
        writer: sends the messages.
        flusher: shared by the connections of an event loop.
        limit: bytes that may wait, as they are held: see :func:`held_size`.
        events: callbacks for a peer that reads too slowly.
        slow_readers: finds out about that while the outbox is not full.
    """

    __slots__ = (
        "_began",
        "_drain_waiters",
        "_droppable",
        "_events",
        "_flusher",
        "_free",
        "_limit",
        "_paused",
        "_sealed",
        "_sending",
        "_slow_reader",
        "_slow_readers",
        "_taken",
        "_waiting",
        "_writer",
    )

    def __init__(
        self, writer: MessageWriter, flusher: Flusher, limit: int, events: OutboxEvents, slow_readers: SlowReaders
    ) -> None:
        self._writer = writer
        self._flusher = flusher
        self._limit = limit
        self._events: OutboxEvents | None = events
        self._waiting: deque[str | bytes | Close | None] = deque()  # None in the place of one that was dropped
        self._droppable: DroppableFrames[str | bytes | Close | None] | None = None  # while some wait
        self._slow_readers = slow_readers
        self._slow_reader: SlowReaderTimer | None = None
        self._sending = 0  # bytes of the message that was taken last
        self._began = 0.0  # when the writer was held up by it
        self._taken = 0
        self._free: float = limit
        self._paused = False
        self._sealed = False
        self._drain_waiters: DrainWaiters | None = None

    @property
    def fd(self) -> int:
        """Say -1, as ``AnyOutbox`` does where there is no socket to write to: the ASGI server has it."""
        return -1

    @property
    def behind(self) -> bool:
        """Whether the writer is held up."""
        return self._paused

    @property
    def taken(self) -> int:
        """Bytes that the peer has taken so far, from any beginning; exact while the writer is held up.

        A part of the message under way cannot be seen: it counts as if the peer had taken ``MIN_RATE`` bytes a second,
        for as long as one would need that takes ``_ASSUMED_RATE``.
        """
        seconds = min(environment.monotonic() - self._began, self._sending / _ASSUMED_RATE)
        return self._taken + int(MIN_RATE * seconds)

    @property
    def buffered(self) -> int:
        """Bytes of the messages that wait here."""
        return sum(map(message_size, self._waiting))

    async def drained(self, below: int) -> bool:
        """Wait until fewer than ``below`` bytes wait; return False if the outbox is sealed, now or meanwhile."""
        if self._sealed:
            return False
        if self.buffered < below:
            return True
        if self._drain_waiters is None:
            self._drain_waiters = DrainWaiters(lambda: self.buffered, lambda low: None)
        return await self._drain_waiters.wait(below)

    def push(self, messages: tuple[str | bytes, ...]) -> None:
        """Queue messages, to be sent at the end of the turn. After :meth:`seal` they are discarded."""
        waiting, flusher = self._waiting, self._flusher
        if not (waiting or self._paused or self._sealed or flusher.ending):
            flusher.schedule(self)  # before anything is changed: it may raise
        for message in messages:
            size = held_size(message)
            self._free = room = self._free - size
            if room < 0 and not self._make_room(size):
                return
            waiting.append(message)
        if flusher.ending and not self._paused:
            self._writer.write()

    def take(self) -> str | bytes | Close | None:
        """Remove the first message and return it, or None if none waits."""
        waiting = self._waiting
        message = self._take_droppable() if self._droppable is not None else waiting.popleft() if waiting else None
        if message is None:
            return None
        self._sending = size = held_size(message)
        if self._paused:
            self._taken += size
            self._began = environment.monotonic()
        if not self._sealed:
            self._free = self._free + size if waiting else self._limit
            if self._drain_waiters is not None:
                self._drain_waiters.check()
        return message

    def _take_droppable(self) -> str | bytes | Close | None:
        """Remove the first message that was not dropped, and return it."""
        waiting, droppable = self._waiting, self._droppable
        message = None
        while waiting and message is None:
            message = waiting.popleft()
            if droppable is not None:
                self._free += droppable.left(1)
        if not waiting:
            self._droppable = None
        return message

    def offer(self, messages: tuple[str | bytes, ...], droppable: Droppable) -> None:
        """Queue a message that need not be sent, as its policy says, to a peer that is behind."""
        if not self._paused:
            self.push(messages)
        elif droppable.policy == "volatile":
            droppable.skipped()
        elif not self._sealed:
            self._offer_later(messages[0], droppable)

    def _offer_later(self, message: str | bytes, droppable: Droppable) -> None:
        waiting = self._droppable
        if waiting is None:
            waiting = self._droppable = DroppableFrames(self._waiting, None)
        size = held_size(message) + droppable.size
        may_wait, self._free = waiting.make_way(droppable, size, int(self._free), self._limit)
        if may_wait:
            self._free -= size
            waiting.append(message, droppable, size)
        else:
            droppable.skipped()

    def flush(self) -> None:
        """Have everything written that waits, unless the writer is held up."""
        if self._waiting and not self._paused:
            self._writer.write()

    def pause(self) -> None:
        """Note that the writer is held up: it goes on by itself, and calls :meth:`resume` once nothing waits."""
        self._paused = True
        self._began = environment.monotonic()
        if self._slow_reader is not None:
            self._slow_reader.start()
        elif self._events is not None:
            self._slow_reader = self._slow_readers.watch(self)

    def drop_slow_reader(self) -> None:
        """Discard everything, as the peer has taken too little for too long; the connection is dropped."""
        if self._events is not None:
            self._drop(self._events.fell_behind)

    def resume(self) -> None:
        """Call the writer again for new messages."""
        self._paused = False

    def seal(self, close: Close) -> None:
        """Take no more messages; those that wait still leave, and ``close`` after them."""
        if not (self._waiting or self._paused):
            self._flusher.schedule(self)
        self._seal()
        self._waiting.append(close)

    def discard(self) -> None:
        """Take no more messages, and discard those that wait."""
        self._seal()
        self._events = None
        self._waiting.clear()
        self._droppable = None
        if self._slow_reader is not None:
            self._slow_reader.stop()
            self._slow_reader = None

    def _seal(self) -> None:
        self._sealed = True
        self._free = _SEALED
        if self._drain_waiters is not None:
            self._drain_waiters.end()

    def _make_room(self, size: int) -> bool:
        """Return whether a message may be queued that is over the limit; if not, discard everything."""
        if self._sealed:
            return False
        if not self._waiting:
            return True
        if self._droppable is not None:
            self._free += self._droppable.make_room(-int(self._free), for_all=True)
            if self._free >= 0:
                return True
        if not self._paused:  # a busy turn queued much: the peer might well be reading
            self._writer.write()
        if not self._waiting:
            self._free = self._limit - size
            return True
        if self._events is not None:
            self._drop(self._events.overflowed)
        return False

    def _drop(self, tell: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(tell)
        self.discard()


def held_size(message: str | bytes | Close | None) -> int:
    """Return the bytes that a message which waits takes in memory, its place in the queue included.

    A text with a single emoji takes four bytes for each character.
    """
    return sys.getsizeof(message) + _PLACE


def message_size(message: str | bytes | Close | None) -> int:
    """Return the bytes of a message in UTF-8; a Close counts as none, as it is always queued, and so does None."""
    if type(message) is str:
        return len(message) if message.isascii() else len(message.encode())
    return len(message) if type(message) is bytes else 0
