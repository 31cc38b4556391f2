"""Tells which of two things on different machines came later, as far as anybody could know."""

from __future__ import annotations

from collections.abc import Callable


class HybridClock:
    """Stamps that grow with real time and never run behind a stamp that has been heard of.

    Nodes hear each other's stamps with every beat. So a stamp that is taken after a node heard of another is larger
    than it, even where the machines' clocks disagree; of two that nobody could order, all nodes see the same one as
    larger (after Kulkarni et al., Logical Physical Clocks, 2014, with the counter in the low bits of the time).

    Args:
        now: real time in microseconds.
    """

    __slots__ = ("_last", "_now")

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._last = 0

    def stamp(self) -> int:
        """Take a new stamp."""
        self._last = max(self._last + 1, self._now())
        return self._last

    def heard(self, stamp: int) -> None:
        """Take note of another node's stamp."""
        self._last = max(self._last, stamp)
