"""Keeps a flood of equal log records from filling a disk."""

from __future__ import annotations

from collections.abc import Hashable


class Throttle:
    """Lets each key pass ``burst`` times in a period, and counts what it held back.

    Args:
        burst: how often a key may pass in one period.
        period: seconds.

    The keys must be few: they are kept.
    """

    __slots__ = ("_burst", "_period", "_seen")

    def __init__(self, burst: int = 5, period: float = 10) -> None:
        self._burst = burst
        self._period = period
        self._seen: dict[Hashable, tuple[float, int]] = {}

    def admit(self, key: Hashable, now: float) -> int | None:
        """Return how many were held back since the key last passed, or None if this one is held back too."""
        began, count = self._seen.get(key, (now, 0))
        held_back = 0
        if now - began >= self._period:
            held_back = max(0, count - self._burst)
            began, count = now, 0
        self._seen[key] = (began, count + 1)
        return held_back if count < self._burst else None
