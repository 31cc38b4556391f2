"""The bounded queue of frames of one connection, and the one flush of a loop turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol


class Writer(Protocol):
    """The part of ``asyncio.WriteTransport`` that an outbox uses."""

    def write(self, data: bytes, /) -> None:
        """Send, or keep what the kernel does not take."""

    def get_write_buffer_size(self) -> int:
        """Bytes kept."""


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
    ``overflow`` is called, once, and everything is dropped. A frame that nothing waits in front of is always taken.

    Args:
        writer: where the frames go.
        flusher: shared by the connections of an event loop.
        limit: bytes.
        overflow: told that the peer is too slow; called in a later turn, so that a fan-out is never disturbed.
    """

    __slots__ = ("_flusher", "_frames", "_limit", "_overflow", "_paused", "_sealed", "_size", "_writer")

    def __init__(self, writer: Writer, flusher: Flusher, limit: int, overflow: Callable[[], None]) -> None:
        self._writer = writer
        self._flusher = flusher
        self._limit = limit
        self._overflow = overflow
        self._frames: list[bytes] = []
        self._size = 0
        self._paused = False
        self._sealed = False

    @property
    def buffered(self) -> int:
        """Bytes that wait here and in the writer."""
        return self._size + self._writer.get_write_buffer_size()

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
        self._writer.write(frames[0] if len(frames) == 1 else b"".join(frames))
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
        self._frames.clear()
        self._size = 0

    def _make_room(self) -> bool:
        """Write early what a busy turn queued; a peer that does not read is given up instead."""
        if not self._paused:
            self.flush()
            return True
        self.discard()
        asyncio.get_running_loop().call_soon(self._overflow)
        return False
