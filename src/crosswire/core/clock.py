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

    If the machine's clock is set by more than that while this runs, the clock does not follow, as the new time may be
    the wrong one. It goes on from the old time until another node's stamp shows that the new one is nearer to theirs.

    Args:
        now: returns the real time in microseconds.
        steady: returns microseconds of a clock that is never set; None follows the real time whatever it does.
    """

    __slots__ = ("_ahead", "_last", "_now", "_steady")

    def __init__(self, now: Callable[[], int], steady: Callable[[], int] | None = None) -> None:
        self._now = now
        self._steady = steady
        self._ahead = 0 if steady is None else now() - steady()  # the time that is followed, less the steady clock
        self._last = 0

    def stamp(self) -> int:
        """Return a new stamp, larger than all before."""
        self._last = max(self._last + 1, self._time())
        return self._last

    def update(self, stamp: int) -> bool:
        """Adopt another node's stamp; return False, and ignore it, if it is too far ahead."""
        self._follow_if_right(stamp)
        if stamp > self._time() + MAX_DRIFT:
            return False
        self._last = max(self._last, stamp)
        return True

    def _time(self) -> int:
        """Return the real time, or if the machine's clock has been set, what it would be without."""
        real = self._now()
        if self._steady is None:
            return real
        steady = self._steady()
        if abs(real - steady - self._ahead) > MAX_DRIFT:
            return steady + self._ahead
        self._ahead = real - steady
        return real

    def _follow_if_right(self, stamp: int) -> None:
        """Follow the machine's clock after it has been set, if another node's stamp is nearer to the new time."""
        if self._steady is None:
            return
        real, followed = self._now(), self._time()
        if abs(stamp - real) < abs(stamp - followed):
            self._ahead = real - self._steady()
            if self._last > real + MAX_DRIFT:
                self._last = real  # the time before was wrong
