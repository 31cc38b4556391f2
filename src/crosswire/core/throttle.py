"""A limit on equal log records, so that a flood of them does not fill a disk."""

from __future__ import annotations

from collections.abc import Hashable


class Throttle:
    """Rate limit per key: a key passes ``burst`` times in a period; further records are held back and counted.

    Args:
        burst: how often a key may pass in one period.
        period: seconds.

    All keys are kept, so there must be few of them.
    """

    __slots__ = ("_burst", "_period", "_seen")

    def __init__(self, burst: int = 5, period: float = 10) -> None:
        self._burst = burst
        self._period = period
        self._seen: dict[Hashable, tuple[float, int]] = {}

    def admit(self, key: Hashable, now: float) -> int | None:
        """Return how often the key was held back since it last passed, or None if it is held back now."""
        began, count = self._seen.get(key, (now, 0))
        held_back = 0
        if now - began >= self._period:
            held_back = max(0, count - self._burst)
            began, count = now, 0
        self._seen[key] = (began, count + 1)
        return held_back if count < self._burst else None
