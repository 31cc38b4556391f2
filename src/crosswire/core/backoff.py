"""Delays between attempts to connect: a fast phase, then exponential backoff, all with full jitter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays between attempts to connect.

    Args:
        fast_retries: attempts of the fast phase.
        fast_interval: seconds; the longest delay of the fast phase and the base of the later ones.
        max_interval: seconds; no delay is longer.

    Full jitter: every delay is drawn evenly from zero to its bound, so that a thousand clients of a restarted server
    do not come back together.
    """

    fast_retries: int = 3
    fast_interval: float = 3
    max_interval: float = 120

    def bound(self, attempt: int) -> float:
        """Return the longest delay, in seconds, before attempt ``attempt`` (1 is the first)."""
        if attempt <= self.fast_retries:
            return min(self.fast_interval, self.max_interval)
        # After 64 doublings every base is above any maximum; more might overflow.
        doublings = min(attempt - self.fast_retries, 64)
        return min(self.fast_interval * 2.0**doublings, self.max_interval)

    def delay(self, attempt: int, random: Callable[[], float]) -> float:
        """Return a delay in seconds before attempt ``attempt``; ``random`` returns a number in [0, 1)."""
        return self.bound(attempt) * random()
