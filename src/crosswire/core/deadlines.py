"""When the time of each of many things is over. Knows no clock: its owner says what time it is."""

from __future__ import annotations

from collections.abc import Iterator


class Deadlines:
    """Deadlines by key. Adding and removing one touches no other, however many there are.

    Most things that have a deadline are done long before it, and wait equally long: those with the same timeout are
    kept in the order they were added, which is the order in which they are due.
    """

    __slots__ = ("_by_timeout",)

    def __init__(self) -> None:
        self._by_timeout: dict[float, dict[str, float]] = {}

    def add(self, key: str, timeout: float, now: float) -> None:
        """Let ``key`` be due ``timeout`` seconds from now."""
        dues = self._by_timeout.get(timeout)
        if dues is None:
            dues = self._by_timeout[timeout] = {}
        dues[key] = now + timeout

    def remove(self, key: str, timeout: float) -> None:
        """Forget a key that was added with this timeout; does nothing if it is not there."""
        dues = self._by_timeout.get(timeout)
        if dues is not None:
            dues.pop(key, None)

    def take_due(self, now: float) -> Iterator[str]:
        """Yield and forget the keys that are due."""
        for timeout, dues in list(self._by_timeout.items()):
            for key in [key for key, _ in _leading(dues, now)]:
                del dues[key]
                yield key
            if not dues:
                del self._by_timeout[timeout]


def _leading(dues: dict[str, float], now: float) -> Iterator[tuple[str, float]]:
    for key, due in dues.items():
        if due > now:
            return
        yield key, due
