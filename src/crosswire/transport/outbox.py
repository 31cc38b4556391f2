"""The bounded queue of frames of one connection."""

from __future__ import annotations

import asyncio
from typing import Protocol

from crosswire.runtime.flusher import Flusher
from crosswire.transport.drain_waiters import DrainWaiters
from crosswire.transport.watermarks import HIGH_WATER_MARK


class Writer(Protocol):
    """Transport that an outbox writes to."""

    def write_frames(self, data: bytes) -> None:
        """Send the bytes of frames, and keep what the kernel does not take."""

    @property
    def waiting(self) -> int:
        """Bytes that the writer keeps."""
        ...

    def set_low_water_mark(self, low: int | None) -> None:
        """Pause the outbox while more than ``low`` bytes are kept, and resume it then.

        None: while more than :data:`HIGH_WATER_MARK` bytes are kept. A writer that keeps more has paused the outbox, or
        does so before the next turn.
        """


class OutboxEvents(Protocol):
    """Callback for a full outbox."""

    def overflowed(self) -> None:
        """Drop the connection: its peer does not read, and everything that waited was discarded."""


FRAME_OVERHEAD = 64
"""Bytes that a frame which waits takes in memory besides its own: the object, and its place in the list."""
_SEALED = float("-inf")
"""Free bytes of a sealed outbox: less than any frame needs."""


class Outbox:
    """Bounded queue of the frames of one connection.

    Frames of one turn leave in one write. While the peer does not read, they wait, up to ``limit`` bytes. Over the
    limit everything is discarded, and ``events`` is called once, in a later turn, so that a fan-out is never disturbed.
    A frame is always taken if nothing waits in front of it.

    The writer gets no more than it can send soon: what waits is counted here, and can be dropped here.

    Args:
        writer: gets the frames.
        flusher: shared by the connections of an event loop.
        limit: bytes that may wait, each frame counted with :data:`FRAME_OVERHEAD`.
        events: callback for a full outbox.
    """

    __slots__ = (
        "_drain_waiters",
        "_events",
        "_flusher",
        "_frames",
        "_free",
        "_limit",
        "_open",
        "_paused",
        "_write",
        "_writer",
    )

    def __init__(self, writer: Writer, flusher: Flusher, limit: int, events: OutboxEvents) -> None:
        self._writer = writer
        self._write = writer.write_frames
        self._flusher = flusher
        self._limit = limit
        self._events: OutboxEvents | None = events
        self._frames: list[bytes] = []
        # Bytes that may still be queued. The hottest path looks at this number alone: a sealed outbox has _SEALED.
        self._free: float = limit
        self._paused = False
        self._open = True  # neither paused nor sealed
        self._drain_waiters: DrainWaiters | None = None

    @property
    def buffered(self) -> int:
        """Bytes that wait here and in the writer."""
        return sum(map(len, self._frames)) + self._writer.waiting

    async def drained(self, below: int) -> bool:
        """Wait until fewer than ``below`` bytes wait; return False if the outbox is sealed, now or meanwhile."""
        self.flush()
        if self._free == _SEALED:
            return False
        if self.buffered < below:
            return True
        if self._drain_waiters is None:
            self._drain_waiters = DrainWaiters(lambda: self.buffered, self._writer.set_low_water_mark)
        return await self._drain_waiters.wait(below)

    def push(self, frame: bytes) -> None:
        """Queue a frame for this turn's flush. After :meth:`seal` it is discarded."""
        frames, flusher = self._frames, self._flusher
        if flusher.ending and self._open and not frames:
            self._write(frame)
            return
        if self._open and not frames:
            flusher.schedule(self)  # before anything is changed: it may raise
        self._free = room = self._free - len(frame) - FRAME_OVERHEAD
        if room < 0 and not self._make_room(len(frame) + FRAME_OVERHEAD):
            return
        frames.append(frame)

    def flush(self) -> None:
        """Write what waits, unless the outbox is paused: all of it, or as much as the writer can send soon."""
        frames = self._frames
        if self._paused or not frames:
            return
        if len(frames) > 1 and self._limit - self._free > HIGH_WATER_MARK:
            self._write_in_pieces()
        else:
            self.write_all()

    def write_all(self) -> None:
        """Write all that waits, even if the writer has to keep it: the connection closes once it is sent."""
        frames = self._frames
        if not frames:
            return
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        frames.clear()  # first: after a writer that fails, the outbox must still be flushed again
        if self._free != _SEALED:
            self._free = self._limit
        self._write(data)

    def _write_in_pieces(self) -> None:
        """Write until the writer keeps enough; what is left waits until it resumes the outbox."""
        frames, writer = self._frames, self._writer
        while frames and not self._paused:
            if writer.waiting > HIGH_WATER_MARK:  # it pauses the outbox at the end of the turn, unless it can go on
                asyncio.get_running_loop().call_soon(self.flush)
                return
            number = size = 0
            while number < len(frames) and (not number or size + len(frames[number]) <= HIGH_WATER_MARK):
                size += len(frames[number])
                number += 1
            piece = b"".join(frames[:number])
            del frames[:number]
            self._free += size + number * FRAME_OVERHEAD
            self._write(piece)

    def pause(self) -> None:
        """Hold back frames, as the writer's own buffer is full."""
        self._paused = True
        self._open = False

    def resume(self) -> None:
        """Write again, and wake coroutines that wait until less is buffered."""
        self._paused = False
        self._open = self._free != _SEALED
        self.flush()
        if self._drain_waiters is not None:
            self._drain_waiters.check()

    def seal(self) -> None:
        """Take no more frames; waiting frames still leave."""
        self._free = _SEALED
        self._open = False
        if self._drain_waiters is not None:
            self._drain_waiters.end()

    def discard(self) -> None:
        """Take no more frames, and discard the waiting frames."""
        self.seal()
        self._events = None
        self._frames.clear()

    def _make_room(self, size: int) -> bool:
        """Return whether a frame may be queued that is over the limit; if not, discard everything."""
        if self._free == _SEALED:
            return False
        if not self._frames:
            return True
        if not self._paused:  # a busy turn queued much: the peer might well be reading
            self._free += size
            self.flush()
            self._free -= size
            if self._free >= 0 or not self._frames:
                return True
        if self._events is not None:
            asyncio.get_running_loop().call_soon(self._events.overflowed)
        self.discard()
        return False
