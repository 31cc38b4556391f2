"""Tells which of two things on different machines came later, as far as anybody could know."""

from __future__ import annotations

from collections.abc import Callable

DRIFT = 60_000_000
"""Microseconds by which a stamp may be ahead of this machine's clock and still be believed. Clocks that nobody sets are
seconds off, which must not matter; a minute is a clock that is wrong, or a stamp that somebody made up."""


class HybridClock:
    """Stamps that grow with real time and never run behind a stamp that has been heard of.

    Nodes hear each other's stamps with every beat. So a stamp that is taken after a node heard of another is larger
    than it, even where the machines' clocks disagree; of two that nobody could order, all nodes see the same one as
    larger (after Kulkarni et al., Logical Physical Clocks, 2014, with the counter in the low bits of the time).

    A stamp that is further ahead than :data:`DRIFT` moves nothing: one of them would else set the clocks of the whole
    cluster forward, for good. While a machine's clock is so wrong, what happens there counts as later than what happens
    elsewhere, whichever was first.

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

    def heard(self, stamp: int) -> bool:
        """Take note of another node's stamp, unless it is too far ahead; tell whether it was not."""
        if stamp > self._now() + DRIFT:
            return False
        self._last = max(self._last, stamp)
        return True
