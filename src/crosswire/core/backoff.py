"""Growing delays between attempts: a fast phase, then exponential backoff."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays between attempts to connect, or to start a process.

    Args:
        fast_retries: number of attempts in the fast phase.
        fast_interval: seconds before each attempt of the fast phase; doubled for each attempt after it.
        max_interval: maximum of a delay, in seconds.
    """

    fast_retries: int = 3
    fast_interval: float = 3
    max_interval: float = 120

    def bound(self, attempt: int) -> float:
        """Return the delay in seconds before attempt ``attempt`` (1 is the first), without jitter."""
        if attempt <= self.fast_retries:
            return min(self.fast_interval, self.max_interval)
        # After 64 doublings every base is above any maximum; more might overflow.
        doublings = min(attempt - self.fast_retries, 64)
        return min(self.fast_interval * 2.0**doublings, self.max_interval)

    def delay(self, attempt: int, random: Callable[[], float]) -> float:
        """Return the delay in seconds before attempt ``attempt``, with full jitter: between 0 and :meth:`bound`.

        So a thousand clients of a restarted server do not come back together.

        Args:
            attempt: 1 is the first.
            random: returns a number in [0, 1).
        """
        return self.bound(attempt) * random()
