"""The bounded queue of frames of one connection, and the one flush of a loop turn."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Writer(Protocol):
    """Where an outbox puts its frames."""

    def send(self, data: bytes) -> None:
        """Send, or keep what the kernel does not take."""

    @property
    def waiting(self) -> int:
        """Bytes kept."""


class Owner(Protocol):
    """Whose outbox it is."""

    def overflowed(self) -> None:
        """The peer does not read, and too much waits; everything was dropped."""


class Flusher:
    """Empties the outboxes that were filled in a turn of the event loop, at the end of that turn."""

    __slots__ = ("_filled", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._filled: list[Outbox] = []

    def schedule(self, outbox: Outbox) -> None:
        """Flush ``outbox`` in this turn; the caller says it once a turn."""
        if not self._filled:
            self._loop.call_soon(self._flush)
        self._filled.append(outbox)

    def _flush(self) -> None:
        filled, self._filled = self._filled, []
        for outbox in filled:
            outbox.flush()


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

    __slots__ = ("_flusher", "_frames", "_limit", "_owner", "_paused", "_sealed", "_size", "_writer")

    def __init__(self, writer: Writer, flusher: Flusher, limit: int, owner: Owner) -> None:
        self._writer = writer
        self._flusher = flusher
        self._limit = limit
        self._owner: Owner | None = owner
        self._frames: list[bytes] = []
        self._size = 0
        self._paused = False
        self._sealed = False

    @property
    def buffered(self) -> int:
        """Bytes that wait here and in the writer."""
        return self._size + self._writer.waiting

    def push(self, frame: bytes) -> None:
        """Queue a frame for this turn's flush. After :meth:`seal` it is dropped."""
        if self._sealed:
            return
        frames = self._frames
        if frames:
            if self._size + len(frame) > self._limit and not self._make_room():
                return
            self._size += len(frame)
        else:
            self._size = len(frame)
            if not self._paused:
                self._flusher.schedule(self)
        frames.append(frame)

    def flush(self) -> None:
        """Write all that waits, unless the writer asked to wait."""
        frames = self._frames
        if self._paused or not frames:
            return
        self._writer.send(frames[0] if len(frames) == 1 else b"".join(frames))
        frames.clear()
        self._size = 0

    def pause(self) -> None:
        """Hold what is pushed: the writer's own buffer is full."""
        self._paused = True

    def resume(self) -> None:
        """Write again."""
        self._paused = False
        self.flush()

    def seal(self) -> None:
        """Take no more frames; those that wait still leave."""
        self._sealed = True

    def discard(self) -> None:
        """Take no more frames and drop those that wait."""
        self._sealed = True
        self._owner = None
        self._frames.clear()
        self._size = 0

    def _make_room(self) -> bool:
        """Write early what a busy turn queued; a peer that does not read is given up instead."""
        if not self._paused:
            self.flush()
            return True
        if self._owner is not None:
            asyncio.get_running_loop().call_soon(self._owner.overflowed)
        self.discard()
        return False
