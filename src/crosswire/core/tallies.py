"""Counters and histograms that are kept while a server runs, bounded in the names that peers can bring up.

The event loop counts. Another thread may read, such as that of a scrape: so a dict is copied before it is gone through.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from crosswire.core.metric_families import Distribution, MetricFamily, MetricSample

OTHER = "other"
"""Label of everything that has no label of its own."""
MAX_EVENTS = 100
"""Number of events that get a label of their own, in one direction; there is room for them in any dashboard."""
MAX_EVENT_NAME = 100
"""Characters of an event's name that can be a label."""
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds of the buckets of durations, in seconds."""
RECIPIENTS = (1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1000.0, 5000.0, 10_000.0, 50_000.0)
"""Bounds of the buckets of numbers of recipients."""


class Histogram:
    """Counts of values in fixed buckets.

    Args:
        bounds: upper bounds of the buckets, ascending.
    """

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def observe(self, value: float) -> None:
        """Count a value in its own bucket."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    @property
    def distribution(self) -> Distribution:
        """The counts of all values so far."""
        return Distribution(self._bounds, tuple(self._counts), self._total)

    def family(self, name: str, text: str) -> MetricFamily:
        """Return the histogram as a metric."""
        return MetricFamily(name, text, "histogram", (), (MetricSample((), self.distribution),))


class EventTotals:
    """Number and bytes of messages by the name of their event, for at most ``MAX_EVENTS`` names.

    All further events are counted together, as :data:`OTHER`.

    Attributes:
        known: number and bytes of each event that was counted before, for the paths where each call counts.
    """

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: dict[str, list[int]] = {OTHER: [0, 0]}

    def add(self, event: str, messages: int, size: int) -> None:
        """Count some messages of one event.

        Args:
            event: its name.
            messages: their number.
            size: bytes of all of them.
        """
        totals = self.known.get(event) or self.admit(event)
        totals[0] += messages
        totals[1] += size

    def admit(self, event: str) -> list[int]:
        """Return number and bytes of an event that is not known yet, to be counted there."""
        if len(self.known) > MAX_EVENTS or len(event) > MAX_EVENT_NAME:
            return self.known[OTHER]
        totals = self.known[event] = [0, 0]
        return totals

    def families(self, messages: tuple[str, str], size: tuple[str, str]) -> Iterator[MetricFamily]:
        """Return the numbers and the bytes as metrics of these names and help texts."""
        for index, (name, help_) in enumerate((messages, size)):
            samples = tuple(MetricSample((event,), totals[index]) for event, totals in list(self.known.items()))
            yield MetricFamily(name, help_, "counter", ("event",), samples)


class EventHistograms:
    """Histograms by the name of an event, for at most ``MAX_EVENTS`` names; further ones share one histogram.

    Args:
        bounds: upper bounds of the buckets, ascending.
    """

    __slots__ = ("_bounds", "_by_event")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self._bounds = bounds
        self._by_event: dict[str, Histogram] = {}

    def observe(self, event: str, value: float) -> None:
        """Count a value in the histogram of its event."""
        histogram = self._by_event.get(event)
        if histogram is None:
            histogram = self._admit(event)
        histogram.observe(value)

    def _admit(self, event: str) -> Histogram:
        if len(self._by_event) >= MAX_EVENTS or len(event) > MAX_EVENT_NAME:
            event = OTHER
        return self._by_event.setdefault(event, Histogram(self._bounds))

    def family(self, name: str, text: str) -> MetricFamily:
        """Return the histograms as a metric."""
        samples = tuple(MetricSample((event,), each.distribution) for event, each in list(self._by_event.items()))
        return MetricFamily(name, text, "histogram", ("event",), samples)
