"""Restarts of a worker that died: delays, and when to give up."""

from __future__ import annotations

from crosswire.core.backoff import Backoff

STABLE_AFTER = 10.0
"""Seconds of service after which a worker's next death counts as its first."""

MAX_FAILED_STARTS = 5
"""Deaths in a row after which a worker that has never listened is given up."""

RESTART_DELAYS = Backoff(fast_retries=0, fast_interval=0.1, max_interval=10)
"""Delays before the restarts of a worker, without jitter: 0.2 seconds, doubled for each death in a row."""


class Restarts:
    """Deaths of one worker, and the delays before its restarts. Times are in seconds, of any one clock.

    Args:
        delays: delays before restarts, by number of deaths in a row.
    """

    __slots__ = ("_deaths", "_delays", "_has_listened", "_since")

    def __init__(self, delays: Backoff = RESTART_DELAYS) -> None:
        self._delays = delays
        self._deaths = 0
        self._has_listened = False
        self._since: float | None = None

    def listening(self, now: float) -> None:
        """Note that the worker listens."""
        self._has_listened = True
        self._since = now

    def died(self, now: float, *, refused: bool) -> float | None:
        """Count a death; return the seconds to wait before the worker is started again, or None to give up.

        A worker that has served before is never given up: others may still serve, and the cause may be temporary (a
        module that is being edited, a name that is taken for a moment).

        Args:
            now: the time.
            refused: whether the worker reported that its configuration does not work.
        """
        if self._since is not None and now - self._since >= STABLE_AFTER:
            self._deaths = 0
        self._since = None
        self._deaths += 1
        if not self._has_listened and (refused or self._deaths >= MAX_FAILED_STARTS):
            return None
        return self._delays.bound(self._deaths)
