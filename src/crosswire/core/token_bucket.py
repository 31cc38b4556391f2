"""A token bucket: so many a second on average, and a number of them at once. Sans-IO."""

from __future__ import annotations


class TokenBucket:
    """Tokens that come at a rate, up to ``size`` of them; each thing that is let through takes some.

    Args:
        rate: tokens that come in a second.
        size: tokens that it holds at most, and in the beginning.
        now: present time, in seconds.
    """

    __slots__ = ("_rate", "_size", "_time", "_tokens")

    def __init__(self, rate: float, size: float, now: float) -> None:
        self._rate = rate
        self._size = max(size, 1)
        self._tokens = self._size
        self._time = now

    def available(self, now: float) -> int:
        """Return the number of whole tokens that it holds."""
        self._tokens = min(self._tokens + (now - self._time) * self._rate, self._size)
        self._time = now
        return max(int(self._tokens + _ROUNDING), 0)

    def take(self, count: int) -> None:
        """Take that many tokens, even if it holds fewer: then it owes them."""
        self._tokens -= count

    def delay(self, count: int = 1) -> float:
        """Return the seconds until it holds ``count`` tokens, as of the last call of :meth:`available`."""
        return max(count - self._tokens, 0) / self._rate


_ROUNDING = 1e-6
"""Part of a token that may be missing to a whole one, as the times are rounded."""
