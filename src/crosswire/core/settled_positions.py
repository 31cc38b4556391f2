"""The positions of an epoch that are good for a recovery; those of its beginning may not be."""

from __future__ import annotations

from crosswire.core.kept_messages import KeptMessages

SETTLING_TIME = 3.0
"""Seconds at the beginning of an epoch whose positions are no good, if messages may still come on other paths."""


class SettledPositions:
    """The smallest offset whose position is good for a recovery.

    A log that is settling tells only that no position is good yet. So the time it needs is counted from when it was
    first asked for a position after that, which is later.
    """

    __slots__ = ("_end", "_is_settling", "_smallest")

    def __init__(self) -> None:
        self._smallest = 0
        self._is_settling = False
        self._end: float | None = None

    def begin_epoch(self) -> None:
        """Begin anew: all positions are good, as far as is known."""
        self._smallest = 0
        self._is_settling = False

    def load(self, smallest: int, last: int) -> None:
        """Take what the log says: the smallest good offset, which is larger than the last one while it is settling."""
        self._smallest = max(self._smallest, smallest)
        self._is_settling = smallest > last
        self._end = None

    def begin_at(self, offset: int) -> None:
        """Refuse the positions before an offset."""
        self._smallest = max(self._smallest, offset)

    def is_good(self, offset: int, kept: KeptMessages, now: float) -> bool:
        """Return whether the position of a message is good, at a time in milliseconds of the log's clock."""
        if not self._is_settling:
            return offset >= self._smallest
        if self._end is None:
            self._end = now + SETTLING_TIME * 1000
        time = kept.time_of(offset)
        return offset >= self._smallest and time is not None and time >= self._end
