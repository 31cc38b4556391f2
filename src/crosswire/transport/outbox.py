"""The bounded queue of frames of one connection, and the one flush of a loop turn."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from crosswire.runtime.loop_thread import running_loop
from crosswire.runtime.notices import Notices
from crosswire.transport.drain_waiters import DrainWaiters


class Writer(Protocol):
    """Where an outbox puts its frames."""

    def send(self, data: bytes) -> None:
        """Send, or keep what the kernel does not take."""

    @property
    def waiting(self) -> int:
        """Bytes kept."""
        ...

    def watch(self, low: int | None) -> None:
        """Pause the outbox while more than ``low`` bytes are kept, and resume it then; None: as the writer sees fit."""


class OutboxEvents(Protocol):
    """Whose outbox it is."""

    def overflowed(self) -> None:
        """The peer does not read, and too much waits; everything was dropped."""


logger = logging.getLogger("crosswire.transport")

_SEALED = float("-inf")


class Flushable(Protocol):
    """Something that is flushed at the end of a turn."""

    def flush(self) -> None:
        """The turn ends."""


class Flusher:
    """Flushes, at the end of a turn of the event loop, what was filled in it.

    Attributes:
        notices: warns of what is dropped.
        ending: whether the turn is at its end, and nothing need wait for it any more.
    """

    __slots__ = ("_filled", "ending", "notices")

    def __init__(self) -> None:
        self._filled: list[Flushable] = []
        self.notices = Notices(logger)
        self.ending = False

    def schedule(self, filled: Flushable) -> None:
        """Flush ``filled`` when this turn ends; what a flush fills in its turn is flushed right after it."""
        if not self._filled:
            running_loop().call_soon(self._flush)
        self._filled.append(filled)

    def _flush(self) -> None:
        self.ending = True
        try:
            for filled in self._filled:
                try:
                    filled.flush()
                except Exception:
                    logger.exception("flushing %r failed", filled)
        finally:
            self._filled = []
            self.ending = False


class Outbox:
    """What waits to be written to one connection.

    Frames of one turn leave in one write. While the peer does not read, they wait here, up to ``limit`` bytes; then
    everything is dropped and the owner is told, once, in a later turn, so that a fan-out is never disturbed. A frame
    that nothing waits in front of is always taken.

    Args:
        writer: where the frames go.
        flusher: shared by the connections of an event loop.
        limit: bytes.
        owner: told that the peer is too slow.
    """

    __slots__ = ("_drains", "_flusher", "_frames", "_limit", "_open", "_owner", "_paused", "_room", "_write", "_writer")

    def __init__(self, writer: Writer, flusher: Flusher, limit: int, owner: OutboxEvents) -> None:
        self._writer = writer
        self._write = writer.send
        self._flusher = flusher
        self._limit = limit
        self._owner: OutboxEvents | None = owner
        self._frames: list[bytes] = []
        # One number says all that the most travelled path must know: how many bytes may still be queued, and below
        # zero that nothing may, because it is sealed.
        self._room: float = limit
        self._paused = False
        self._open = True  # neither paused nor sealed
        self._drains: DrainWaiters | None = None

    @property
    def buffered(self) -> int:
        """Bytes that wait here and in the writer."""
        return sum(map(len, self._frames)) + self._writer.waiting

    async def drained(self, below: int) -> bool:
        """Wait until fewer than ``below`` bytes wait; False if the outbox is sealed, or is meanwhile."""
        self.flush()
        if self._room == _SEALED:
            return False
        if self.buffered < below:
            return True
        if self._drains is None:
            self._drains = DrainWaiters(lambda: self.buffered, self._writer.watch)
        return await self._drains.wait(below)

    def push(self, frame: bytes) -> None:
        """Queue a frame for this turn's flush. After :meth:`seal` it is dropped."""
        frames, flusher = self._frames, self._flusher
        if flusher.ending and self._open and not frames:
            self._write(frame)
            return
        if self._open and not frames:
            flusher.schedule(self)  # before anything is noted: it may raise
        self._room = room = self._room - len(frame)
        if room < 0 and not self._make_room(len(frame)):
            return
        frames.append(frame)

    def flush(self) -> None:
        """Write all that waits, unless the writer asked to wait."""
        frames = self._frames
        if self._paused or not frames:
            return
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        frames.clear()  # first: a writer that fails must not make this outbox one that is never flushed again
        if self._room != _SEALED:
            self._room = self._limit
        self._write(data)

    def pause(self) -> None:
        """Hold what is pushed: the writer's own buffer is full."""
        self._paused = True
        self._open = False

    def resume(self) -> None:
        """Write again."""
        self._paused = False
        self._open = self._room != _SEALED
        self.flush()
        if self._drains is not None:
            self._drains.check()

    def seal(self) -> None:
        """Take no more frames; those that wait still leave."""
        self._room = _SEALED
        self._open = False
        if self._drains is not None:
            self._drains.end()

    def discard(self) -> None:
        """Take no more frames and drop those that wait."""
        self.seal()
        self._owner = None
        self._frames.clear()

    def _make_room(self, size: int) -> bool:
        """Decide about a frame that is over the limit; tell whether it may be queued."""
        if self._room == _SEALED:
            return False
        if not self._frames:
            return True
        if not self._paused:  # a busy turn queued much: that is no reason to drop a peer that may well be reading
            self.flush()
            self._room = self._limit - size
            return True
        if self._owner is not None:
            text = "a connection is dropped with what was sent to it: its client does not read, and %d bytes waited"
            self._flusher.notices.warn("overflow", text, self._limit)
            asyncio.get_running_loop().call_soon(self._owner.overflowed)
        self.discard()
        return False
