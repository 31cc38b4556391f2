"""Counts of what clients were given from the history of rooms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from crosswire.core.metric_families import MetricFamily, counter, labelled

RECOVERED = "recovered"
"""Result of a join whose client has all that was said since its position."""
FIRST = "first"
"""Result of a join whose client had no position in the room, as far as the server knows."""


class Recoveries:
    """Counts of the joins of rooms that keep history.

    Attributes:
        results: of the joins: :data:`RECOVERED`, :data:`FIRST`, or the reason why a position was of no use.
        messages: that clients were given at their joins.
    """

    __slots__ = ("messages", "results")

    def __init__(self) -> None:
        self.results: Counter[str] = Counter()
        self.messages = 0

    def add(self, recovered: bool | None, reason: str | None, messages: int) -> None:
        """Count a join, with what its client was told and the number of messages that it got."""
        self.results[FIRST if recovered is None else reason or RECOVERED] += 1
        self.messages += messages

    def families(self) -> Iterator[MetricFamily]:
        """Return the counts as metrics."""
        results = [((result,), float(number)) for result, number in list(self.results.items())]
        text = (
            "Joins of rooms that keep history, by result: recovered, first, or why a client's position was of no use."
        )
        yield labelled("counter", "crosswire_recoveries", text, ("result",), results)
        yield counter("crosswire_recovered_messages", "Messages that clients got from history.", self.messages)
