from __future__ import annotations

from crosswire.core.metric_families import Distribution, MetricFamily, MetricSample, counter, gauge, labelled
from crosswire.runtime.prometheus import Exposition
from tests.support.scrapes import Scrape

TIMES = MetricFamily(
    "crosswire_times_seconds",
    "how long it takes",
    "histogram",
    ("event",),
    (MetricSample(("say",), Distribution((0.005, 1.0), (1, 2, 3), 12.5)),),
)


def test_each_kind_of_metric_is_written_as_prometheus_reads_it() -> None:
    drops = labelled("counter", "crosswire_drops", "what is lost", ("reason",), [(('quo"te\n',), 3)])
    exposition = Exposition(lambda: [gauge("crosswire_users", "who is there", 2), drops, TIMES])
    body, content_type = exposition.text()
    now = Scrape(body.decode())
    assert content_type.startswith("text/plain")
    assert now.kinds == {
        "crosswire_users": "gauge",
        "crosswire_drops": "counter",
        "crosswire_times_seconds": "histogram",
    }
    assert now.value("crosswire_users") == 2
    assert now.value("crosswire_drops_total", reason='quo"te\n') == 3
    buckets = {le: now.value("crosswire_times_seconds_bucket", le=le) for le in ("0.005", "1.0", "+Inf")}
    assert buckets == {"0.005": 1, "1.0": 3, "+Inf": 6}
    assert now.value("crosswire_times_seconds_count", event="say") == 6
    assert now.value("crosswire_times_seconds_sum", event="say") == 12.5


def test_metrics_are_read_anew_each_time() -> None:
    numbers = iter((1, 2))
    exposition = Exposition(lambda: [counter("crosswire_asked", "how often", next(numbers))])
    assert [Scrape(exposition.text()[0].decode()).value("crosswire_asked_total") for _ in range(2)] == [1, 2]
