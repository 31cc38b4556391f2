"""A hybrid logical clock: stamps that order events on different machines."""

from __future__ import annotations

from collections.abc import Callable

MAX_DRIFT = 60_000_000
"""Microseconds by which a stamp may be ahead of this machine's clock and still be accepted. Clocks without NTP are
seconds off, which must not matter; a minute means a wrong clock or a forged stamp."""


class HybridClock:
    """Source of stamps that grow with real time and never run behind a stamp that was received.

    Nodes receive each other's stamps with every beat. A new stamp is larger than every stamp that was received before,
    even if the machines' clocks disagree. All nodes agree which of two stamps is the larger (after Kulkarni et al.,
    Logical Physical Clocks, 2014, with the counter in the low bits of the time).

    A stamp that is further ahead than :data:`MAX_DRIFT` is ignored: otherwise a single one would set the clocks of the
    whole cluster forward, for good. While a machine's clock is that far ahead, its events count as later than all
    others.

    Args:
        now: returns the real time in microseconds.
    """

    __slots__ = ("_last", "_now")

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._last = 0

    def stamp(self) -> int:
        """Return a new stamp, larger than all before."""
        self._last = max(self._last + 1, self._now())
        return self._last

    def update(self, stamp: int) -> bool:
        """Adopt another node's stamp; return False, and ignore it, if it is too far ahead."""
        if stamp > self._now() + MAX_DRIFT:
            return False
        self._last = max(self._last, stamp)
        return True
