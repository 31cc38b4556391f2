"""When a worker that died is started again, and when no more."""

from __future__ import annotations

from crosswire.core.backoff import Backoff

STABLE = 10.0
"""Seconds of service after which a worker's death is the first one again."""

HOPELESS = 5
"""So many deaths in a row of a worker that has never listened, and it is no use to go on."""

_DELAYS = Backoff(fast_retries=0, fast_interval=0.1, max_interval=10)


class Restarts:
    """How one worker has fared. Times are those of any clock, in seconds."""

    __slots__ = ("_deaths", "_ever", "_since")

    def __init__(self) -> None:
        self._deaths = 0
        self._ever = False
        self._since: float | None = None

    def listening(self, now: float) -> None:
        """It has begun to serve."""
        self._ever = True
        self._since = now

    def died(self, now: float, *, refused: bool) -> float | None:
        """Return the seconds to wait before it is started again, or None to give up.

        A worker that has served before is never given up: others may serve still, and what keeps it from starting (a
        module that is being edited, a name that is taken for a moment) may pass.

        Args:
            now: the time.
            refused: whether it said itself that it can't work.
        """
        if self._since is not None and now - self._since >= STABLE:
            self._deaths = 0
        self._since = None
        self._deaths += 1
        if not self._ever and (refused or self._deaths >= HOPELESS):
            return None
        return _DELAYS.bound(self._deaths)
