"""Metrics as plain values: what a server or a node shows of itself, before a library writes it down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

MetricKind = Literal["gauge", "counter", "histogram"]


class Distribution(msgspec.Struct, frozen=True, array_like=True):
    """Counts of the values of a histogram in its buckets.

    Attributes:
        bounds: upper bounds of the buckets; one more bucket has all that is above.
        counts: how many values fell into each bucket, the last one included.
        total: sum of all values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


class MetricSample(msgspec.Struct, frozen=True, array_like=True):
    """Value of a metric, for one combination of labels.

    Attributes:
        labels: values of the metric's labels.
        value: the number; the distribution of a histogram.
    """

    labels: tuple[str, ...]
    value: float | Distribution


class MetricFamily(msgspec.Struct, frozen=True, array_like=True):
    """A metric with all its samples.

    Attributes:
        name: by the conventions of Prometheus, a counter's without ``_total``.
        help: a line for people.
        kind: what the values mean.
        labels: names of the labels.
        samples: the values.
    """

    name: str
    help: str
    kind: MetricKind
    labels: tuple[str, ...]
    samples: tuple[MetricSample, ...]


Families = Callable[[], Iterable[MetricFamily]]
"""Function that returns the metrics of now."""


def gauge(name: str, text: str, value: float) -> MetricFamily:
    """Return a metric that goes up and down, without labels."""
    return MetricFamily(name, text, "gauge", (), (MetricSample((), value),))


def counter(name: str, text: str, value: float) -> MetricFamily:
    """Return a metric that only goes up, without labels."""
    return MetricFamily(name, text, "counter", (), (MetricSample((), value),))


def labelled(
    kind: MetricKind, name: str, text: str, labels: Sequence[str], values: Iterable[tuple[tuple[str, ...], float]]
) -> MetricFamily:
    """Return a metric with a value for each combination of its labels."""
    samples = tuple(MetricSample(each, value) for each, value in values)
    return MetricFamily(name, text, kind, tuple(labels), samples)


def with_label(families: Iterable[MetricFamily], label: str, value: str) -> list[MetricFamily]:
    """Return metrics with one more label, the first one, that has the same value in all samples."""
    return [
        MetricFamily(
            each.name,
            each.help,
            each.kind,
            (label, *each.labels),
            tuple(MetricSample((value, *sample.labels), sample.value) for sample in each.samples),
        )
        for each in families
    ]


def merged(lists: Iterable[Iterable[MetricFamily]]) -> list[MetricFamily]:
    """Join the samples of metrics with the same name; a metric whose labels differ from the first one's is left out."""
    by_name: dict[str, MetricFamily] = {}
    for families in lists:
        for each in families:
            known = by_name.setdefault(each.name, each)
            if known is not each and known.labels == each.labels and known.kind == each.kind:
                by_name[each.name] = msgspec.structs.replace(known, samples=(*known.samples, *each.samples))
    return list(by_name.values())
