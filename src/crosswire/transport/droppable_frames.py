"""The frames in an outbox that may be dropped."""

from __future__ import annotations

from collections import deque
from collections.abc import MutableSequence
from typing import Generic, TypeVar

from crosswire.core.skipped_messages import Droppable

FrameT = TypeVar("FrameT")
"""Type of what waits in an outbox."""
_MIN_HOLES = 64
"""Number of holes below which it is not worth to close them."""


class _Entry:
    """A frame that waits and may be dropped.

    Attributes:
        position: its number, counted from the first frame that ever waited; -1 once it is dropped.
        droppable: its policy.
        size: bytes that are counted for it.
    """

    __slots__ = ("droppable", "position", "size")

    def __init__(self, position: int, droppable: Droppable, size: int) -> None:
        self.position = position
        self.droppable = droppable
        self.size = size


class DroppableFrames(Generic[FrameT]):
    """Finds the frames that may be dropped, the oldest first, and the one that a newer one replaces.

    A dropped frame leaves a hole, so that the others keep their positions. Once most are holes, all are closed.

    Args:
        frames: all frames that wait; the outbox appends to it, and removes from its front.
        hole: put in the place of a dropped frame.
    """

    __slots__ = ("_entries", "_frames", "_gone", "_hole", "_holes", "_kept", "_latest")

    def __init__(self, frames: MutableSequence[FrameT], hole: FrameT) -> None:
        self._frames = frames
        self._hole = hole
        self._holes = 0
        self._gone = 0  # number of frames that have left: the position of the first that waits
        self._entries: deque[_Entry] = deque()
        self._kept: deque[_Entry] = deque()  # those of "drop-newest", which no other droppable frame drives out
        self._latest: dict[tuple[str, str | None], _Entry] = {}

    def append(self, frame: FrameT, droppable: Droppable, size: int) -> None:
        """Append a frame; ``size`` bytes are counted for it."""
        entry = _Entry(self._gone + len(self._frames), droppable, size)
        self._frames.append(frame)
        if droppable.policy == "drop-newest":
            self._kept.append(entry)
        else:
            self._entries.append(entry)
            if droppable.policy == "latest":
                self._latest[droppable.place] = entry

    def make_way(self, droppable: Droppable, size: int, free: int, limit: int) -> tuple[bool, int]:
        """Drop what a new frame replaces, and what it drives out.

        Args:
            droppable: policy of the new frame.
            size: bytes that will be counted for it.
            free: bytes that may still wait.
            limit: bytes that may wait at all; a larger frame is taken if nothing else waits.

        Returns:
            Whether the new frame may wait, and the bytes that are free now.
        """
        if droppable.policy == "latest" and (replaced := self._latest.pop(droppable.place, None)) is not None:
            free += self._drop(replaced)
        needed = min(size, limit)
        if free < needed and droppable.policy != "drop-newest":
            free += self.make_room(needed - free, for_all=False)
        return free >= needed, free

    def make_room(self, size: int, *, for_all: bool) -> int:
        """Drop frames, the oldest first, until ``size`` bytes or more are free; return the bytes that are free now.

        Args:
            size: bytes that are needed.
            for_all: whether frames of "drop-newest" are dropped too, if nothing else is left.
        """
        freed = 0
        for entries in (self._entries, self._kept) if for_all else (self._entries,):
            while freed < size and entries:
                entry = entries.popleft()
                if entry.position >= 0:
                    self._forget_latest(entry)
                    freed += self._drop(entry)
        return freed

    def left(self, number: int) -> int:
        """Note that some have left at the front; return the bytes that were counted for them besides their frames."""
        self._gone += number
        size = 0
        for entries in (self._entries, self._kept):
            while entries and entries[0].position < self._gone:
                entry = entries.popleft()
                if entry.position >= 0:
                    self._forget_latest(entry)
                    size += entry.droppable.size
        return size

    def _forget_latest(self, entry: _Entry) -> None:
        if self._latest.get(entry.droppable.place) is entry:
            del self._latest[entry.droppable.place]

    def _drop(self, entry: _Entry) -> int:
        self._frames[entry.position - self._gone] = self._hole
        entry.position = -1
        entry.droppable.skipped()
        self._holes += 1
        if self._holes >= _MIN_HOLES and 2 * self._holes > len(self._frames):
            self._close_holes()
        return entry.size

    def _close_holes(self) -> None:
        frames, hole = list(self._frames), self._hole
        positions, number = [], self._gone
        for frame in frames:
            positions.append(number)
            number += frame is not hole
        for entries in (self._entries, self._kept):
            waiting = [entry for entry in entries if entry.position >= 0]
            for entry in waiting:
                entry.position = positions[entry.position - self._gone]
            entries.clear()
            entries.extend(waiting)
        self._frames.clear()
        self._frames.extend(frame for frame in frames if frame is not hole)
        self._holes = 0
