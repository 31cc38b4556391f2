"""Decides whether a client tries to connect again, and after which delay."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from crosswire.core.backoff import Backoff
from crosswire.types import FINAL_CLOSE_CODES, Close

Policy = Callable[[Close], bool]
"""Function that decides from the close of a connection, or of an attempt, whether to try again."""


def reconnects_unless_final(close: Close) -> bool:
    """The default policy: try again unless the code says not to (see :data:`crosswire.types.FINAL_CLOSE_CODES`)."""
    return close.code not in FINAL_CLOSE_CODES


class Retry(NamedTuple):
    """The next attempt: its number in a row, from 1, and the seconds to wait before it."""

    attempt: int
    delay: float


class Retries:
    """Number of attempts in a row, and the delay before the next.

    Args:
        backoff: the bounds of the delays.
        limit: attempts in a row, or None for no limit.
        random: gives a number in [0, 1).
    """

    __slots__ = ("_attempt", "_backoff", "_random", "limit")

    def __init__(self, backoff: Backoff, limit: int | None, random: Callable[[], float]) -> None:
        self._backoff = backoff
        self._random = random
        self._attempt = 0
        self.limit = limit

    def next(self, *, at_once: bool = False) -> Retry | None:
        """Return the next attempt, or None when the limit is reached.

        Args:
            at_once: whether the application asked for the attempt: it counts, but it has no delay, and is made even
                beyond the limit.
        """
        if not at_once and self.limit is not None and self._attempt >= self.limit:
            return None
        self._attempt += 1
        return Retry(self._attempt, 0.0 if at_once else self._backoff.delay(self._attempt, self._random))

    def reset(self) -> None:
        """Count the attempts from 0 again."""
        self._attempt = 0
