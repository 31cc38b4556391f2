"""Metrics in the formats of Prometheus, by prometheus-client."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from crosswire.core.metric_families import Distribution, Families, MetricFamily
from crosswire.errors import ConfigError

if TYPE_CHECKING:
    from prometheus_client.core import Metric


def require_prometheus() -> None:
    """Check that prometheus-client is installed.

    Raises:
        ConfigError: it is not.
    """
    try:
        import prometheus_client  # noqa: F401 - an extra
    except ImportError as error:
        raise ConfigError("metrics need prometheus-client: pip install 'crosswire[prometheus]'") from error


class Exposition:
    """Metrics for a scrape, and a collector for a registry of prometheus-client.

    Args:
        families: returns the metrics.

    Raises:
        ConfigError: prometheus-client is not installed.
    """

    __slots__ = ("_families",)

    def __init__(self, families: Families) -> None:
        require_prometheus()
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Return the metrics of now; called by a registry."""
        return map(_converted, self._families())

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """Return the metrics of now, as the header field ``Accept`` of a scrape asks for them, and their content type.

        Args:
            accept: value of the field; the text format is the default, OpenMetrics the other one.
        """
        from prometheus_client.exposition import choose_encoder

        encode, content_type = choose_encoder(accept)
        return encode(self), content_type


def _converted(family: MetricFamily) -> Metric:
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        for sample in family.samples:
            assert isinstance(sample.value, Distribution)
            histogram.add_metric(sample.labels, _buckets(sample.value), sample.value.total)
        return histogram
    make = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    numbers = make(family.name, family.help, labels=family.labels)
    for sample in family.samples:
        assert not isinstance(sample.value, Distribution)
        numbers.add_metric(sample.labels, sample.value)
    return numbers


def _buckets(value: Distribution) -> list[tuple[str, float]]:
    """Return the upper bound of each bucket, and how many values are not above it."""
    bounds = [*map(repr, value.bounds), "+Inf"]
    return list(zip(bounds, map(float, accumulate(value.counts)), strict=True))
