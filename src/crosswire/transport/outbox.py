"""The bounded queue of frames of one connection."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Protocol

from crosswire.core.skipped_messages import Droppable
from crosswire.runtime.flusher import Flusher
from crosswire.transport.drain_waiters import DrainWaiters
from crosswire.transport.droppable_frames import DroppableFrames
from crosswire.transport.slow_readers import SlowReaders, SlowReaderTimer
from crosswire.transport.watermarks import HIGH_WATER_MARK

_write = os.write


class Writer(Protocol):
    """Transport that an outbox writes to."""

    def write_frames(self, data: bytes) -> None:
        """Send the bytes of frames, and keep what the kernel does not take."""

    @property
    def waiting(self) -> int:
        """Bytes that the writer keeps."""
        ...

    @property
    def taken(self) -> int:
        """Bytes that the peer has taken so far, from any beginning; exact while something waits."""
        ...

    def set_low_water_mark(self, low: int | None) -> None:
        """Pause the outbox while more than ``low`` bytes are kept, and resume it then.

        None: while more than :data:`HIGH_WATER_MARK` bytes are kept. A writer that keeps more has paused the outbox, or
        does so before the next turn.
        """


class OutboxEvents(Protocol):
    """Callbacks for a peer that does not read, or reads too slowly."""

    def overflowed(self) -> None:
        """Drop the connection: its outbox was full, and everything that waited was discarded."""

    def fell_behind(self) -> None:
        """Drop the connection: its peer has taken too little for too long, see ``Limits.outbox_time``."""


FRAME_OVERHEAD = 64
"""Bytes that a frame which waits takes in memory besides its own: the object, and its place in the list."""
_HOLE = b""
"""Put in the place of a frame that was dropped."""
_ONE_FRAME = -2
"""In place of the socket's number while one frame waits that may be written to the socket by itself."""
_NOTHING = b""
_SEALED = float("-inf")
"""Free bytes of a sealed outbox: less than any frame needs."""


class Outbox:
    """Bounded queue of the frames of one connection.

    Frames of one turn leave in one write. While the peer does not read, they wait, up to ``limit`` bytes. Over the
    limit everything is discarded, and ``events`` is called once, in a later turn, so that a fan-out is never disturbed.
    A frame is always taken if nothing waits in front of it.

    The writer gets no more than it can send soon: what waits is counted here, and can be dropped here. Frames that may
    be dropped make room for others before the outbox overflows.

    Args:
        writer: gets the frames.
        flusher: shared by the connections of an event loop.
        limit: bytes that may wait, each frame counted with :data:`FRAME_OVERHEAD`.
        events: callbacks for a peer that reads too slowly.
        slow_readers: finds out about that while the outbox is not full.

    Attributes:
        fd: file descriptor of the socket while a fan-out may write to it by itself: nothing is queued, and the kernel
            has taken all that was written; else it is negative.
        flusher: as given.
    """

    __slots__ = (
        "_drain_waiters",
        "_droppable",
        "_events",
        "_frames",
        "_free",
        "_limit",
        "_open",
        "_paused",
        "_slow_reader",
        "_slow_readers",
        "_socket",
        "_sole",
        "_write",
        "_writer",
        "fd",
        "flusher",
    )

    def __init__(
        self, writer: Writer, flusher: Flusher, limit: int, events: OutboxEvents, slow_readers: SlowReaders
    ) -> None:
        self._writer = writer
        self._write = writer.write_frames
        self.flusher = flusher
        self._limit = limit
        self._events: OutboxEvents | None = events
        self._sole = _NOTHING  # while ``fd`` is _ONE_FRAME, the frame that waits; it is not in the queue, nor counted
        self._frames: list[bytes] = []
        # Bytes that may still be queued. The hottest path looks at this number alone: a sealed outbox has _SEALED.
        self._free: float = limit
        self.fd = -1
        self._socket = -1  # file descriptor that ``fd`` has while nothing is queued
        self._paused = False
        self._open = True  # neither paused nor sealed
        self._drain_waiters: DrainWaiters | None = None
        self._droppable: DroppableFrames[bytes] | None = None  # while some wait
        self._slow_readers = slow_readers
        self._slow_reader: SlowReaderTimer | None = None

    @property
    def behind(self) -> bool:
        """Whether the peer has not taken what was sent before: the kernel's buffer is full."""
        return self._paused or self._writer.waiting > 0

    @property
    def taken(self) -> int:
        """Bytes that the peer has taken so far, from any beginning."""
        return self._writer.taken

    @property
    def buffered(self) -> int:
        """Bytes that wait here and in the writer."""
        return len(self._sole) + sum(map(len, self._frames)) + self._writer.waiting

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
        if self.fd >= 0:  # nothing is queued, and the kernel has taken all, as nearly always
            filled = self.flusher.filled
            if filled:
                filled.append(self)
            elif not self._waits(frame):
                return
            self.fd = _ONE_FRAME
            self._sole = frame
            return
        if self.fd == _ONE_FRAME:
            self._queue_sole()
        frames = self._frames
        if not frames and self._open and not self._waits(frame):
            return
        self._free = room = self._free - len(frame) - FRAME_OVERHEAD
        if room < 0 and not self._make_room(len(frame) + FRAME_OVERHEAD):
            return
        frames.append(frame)

    def _queue_sole(self) -> None:
        """Queue the frame that was to be written by itself, as others follow it or it has to wait."""
        frame, self._sole, self.fd = self._sole, _NOTHING, -1
        self._free -= len(frame) + FRAME_OVERHEAD
        self._frames.append(frame)

    def _waits(self, frame: bytes) -> bool:
        """Flush at the end of the turn, or write a frame at once if this is its end; return False then."""
        flusher = self.flusher
        if flusher.ending:
            self._write(frame)
            return False
        flusher.schedule(self)  # before anything is changed: it may raise
        return True

    def offer(self, frame: bytes, droppable: Droppable) -> None:
        """Queue a frame that need not be sent, as its policy says, to a peer that is behind."""
        if not self.behind:
            self.push(frame)
        elif droppable.policy == "volatile":
            droppable.skipped()
        elif not self._paused:
            self.push(frame)
        elif self._free != _SEALED:
            self._offer_later(frame, droppable)

    def _offer_later(self, frame: bytes, droppable: Droppable) -> None:
        waiting = self._droppable
        if waiting is None:
            waiting = self._droppable = DroppableFrames(self._frames, _HOLE)
        size = len(frame) + FRAME_OVERHEAD + droppable.size
        may_wait, self._free = waiting.make_way(droppable, size, int(self._free), self._limit)
        if may_wait:
            self._free -= size
            waiting.append(frame, droppable, size)
        else:
            droppable.skipped()

    def flush(self) -> None:
        """Write what waits, unless the outbox is paused: all of it, or as much as the writer can send soon."""
        if self.fd == _ONE_FRAME:  # the usual answer; see DirectWrites
            frame, self._sole = self._sole, _NOTHING
            self.fd = fd = self._socket
            try:
                sent = _write(fd, frame)
            except OSError:  # the kernel is full, or the peer gone: the writer finds out
                sent = 0
            if sent != len(frame):
                self._write(frame[sent:])
            return
        frames = self._frames
        if self._paused or not frames:
            return
        if self._droppable is not None or (len(frames) > 1 and self._limit - self._free > HIGH_WATER_MARK):
            self._write_in_pieces()
            return
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        frames.clear()  # first: after a writer that fails, the outbox must still be flushed again
        self.fd = self._socket
        if self._free != _SEALED:
            self._free = self._limit
        self._write(data)

    def write_all(self) -> None:
        """Write all that waits, even if the writer has to keep it: the connection closes once it is sent."""
        if self._frames:
            self._paused, self._droppable = False, None
            self._frames[:] = [b"".join(self._frames)]
        self.flush()

    def _write_in_pieces(self) -> None:
        """Write until the writer keeps enough; what is left waits until it resumes the outbox."""
        frames, writer = self._frames, self._writer
        while frames and not self._paused:
            if writer.waiting > HIGH_WATER_MARK:  # it pauses the outbox at the end of the turn, unless it can go on
                asyncio.get_running_loop().call_soon(self.flush)
                return
            number = size = 0
            while number < len(frames) and (not size or size + len(frames[number]) <= HIGH_WATER_MARK):
                size += len(frames[number])
                number += 1
            piece = frames[:number]
            del frames[:number]
            self._free += size + FRAME_OVERHEAD * (number - piece.count(_HOLE))
            if self._droppable is not None:
                self._free += self._droppable.left(number)
            if not frames:
                self._droppable = None
                self.fd = self._socket
            if size:
                self._write(b"".join(piece))

    def pause(self) -> None:
        """Hold back frames, as the writer's own buffer is full."""
        self._paused = True
        self._open = False
        self.forbid_direct()
        self.watch()

    def allow_direct(self, fd: int) -> None:
        """Let a fan-out write to the socket ``fd`` by itself while nothing is queued: the kernel has taken all."""
        if self._open:
            self._socket = fd
            if not self._frames and self.fd != _ONE_FRAME:
                self.fd = fd

    def forbid_direct(self) -> None:
        """Let nothing be written past the outbox: something waits in front of it, or the connection is at its end."""
        if self.fd == _ONE_FRAME:
            self._queue_sole()
        self.fd = self._socket = -1

    def watch(self) -> None:
        """Drop the connection if its peer takes too little of what waits from now on."""
        if self._slow_reader is not None:
            self._slow_reader.start()
        elif self._events is not None:
            self._slow_reader = self._slow_readers.watch(self)

    def drop_slow_reader(self) -> None:
        """Discard everything, as the peer has taken too little for too long; the connection is dropped."""
        if self._events is not None:
            self._drop(self._events.fell_behind)

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
        self.forbid_direct()
        if self._drain_waiters is not None:
            self._drain_waiters.end()

    def discard(self) -> None:
        """Take no more frames, and discard the waiting frames."""
        self.seal()
        self._events = None
        self._frames.clear()
        self._droppable = None
        if self._slow_reader is not None:
            self._slow_reader.stop()
            self._slow_reader = None

    def _make_room(self, size: int) -> bool:
        """Return whether a frame may be queued that is over the limit; if not, discard everything."""
        if self._free == _SEALED:
            return False
        if not self._frames:
            return True
        if self._droppable is not None:
            self._free += self._droppable.make_room(-int(self._free), for_all=True)
            if self._free >= 0:
                return True
        if not self._paused:  # a busy turn queued much: the peer might well be reading
            self._free += size
            self.flush()
            self._free -= size
            if self._free >= 0 or not self._frames:
                self.fd = -1  # the frame is about to be queued, so nothing may leave past the queue
                return True
        if self._events is not None:
            self._drop(self._events.overflowed)
        return False

    def _drop(self, tell: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(tell)
        self.discard()
