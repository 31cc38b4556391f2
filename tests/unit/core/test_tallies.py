from __future__ import annotations

import sys
import threading

from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.metric_families import Distribution
from crosswire.core.tallies import MAX_EVENTS, OTHER, EventHistograms, EventTotals, Histogram

SHORT_NAMES = st.text(min_size=1, max_size=20)


def totals_of(totals: EventTotals) -> list[dict[str, float]]:
    families = totals.families(("messages", "their number"), ("bytes", "their bytes"))
    return [{sample.labels[0]: float(sample.value) for sample in each.samples} for each in families]  # type: ignore[arg-type]


def test_a_value_falls_into_the_first_bucket_that_is_not_below_it() -> None:
    histogram = Histogram((1.0, 10.0))
    for value in (0, 1, 1.5, 10, 11, 1000):
        histogram.observe(value)
    assert histogram.distribution == Distribution((1.0, 10.0), (2, 2, 2), 1023.5)


@given(st.lists(st.floats(0, 100), max_size=50))
def test_no_value_is_lost(values: list[float]) -> None:
    histogram = Histogram((1.0, 10.0, 50.0))
    for value in values:
        histogram.observe(value)
    counts = histogram.distribution.counts
    assert sum(counts) == len(values)
    assert [sum(counts[: index + 1]) for index in range(3)] == [
        sum(value <= bound for value in values) for bound in (1.0, 10.0, 50.0)
    ]


@given(st.lists(st.tuples(SHORT_NAMES, st.integers(0, 5), st.integers(0, 100)), max_size=300))
def test_totals_add_up_and_their_names_are_bounded(messages: list[tuple[str, int, int]]) -> None:
    totals = EventTotals()
    for event, number, size in messages:
        totals.add(event, number, size)
    numbers, sizes = totals_of(totals)
    assert len(numbers) <= MAX_EVENTS + 1
    assert sum(numbers.values()) == sum(number for _, number, _ in messages)
    assert sum(sizes.values()) == sum(size for _, _, size in messages)


def test_an_event_beyond_the_limit_or_with_a_long_name_is_counted_with_the_others() -> None:
    totals, times = EventTotals(), EventHistograms((1.0,))
    names = [f"event {number}" for number in range(MAX_EVENTS + 5)]
    for event in ("x" * 101, *names, *names):
        totals.add(event, 1, 3)
        times.observe(event, 0.5)
    numbers, sizes = totals_of(totals)
    assert (numbers["event 0"], sizes["event 0"]) == (2, 6)
    assert (numbers[OTHER], sizes[OTHER]) == (11, 33)
    samples = {sample.labels[0]: sample.value for sample in times.family("seconds", "durations").samples}
    assert len(samples) <= MAX_EVENTS + 1
    assert samples["event 0"] == Distribution((1.0,), (2, 0), 1.0)


def test_another_thread_reads_while_new_events_are_counted() -> None:
    interval, failures = sys.getswitchinterval(), list[RuntimeError]()

    def read(totals: EventTotals, seconds: EventHistograms, ended: threading.Event) -> None:
        while not ended.is_set():
            try:
                totals_of(totals)
                seconds.family("seconds", "how long they took")
            except RuntimeError as error:
                failures.append(error)

    sys.setswitchinterval(1e-6)
    try:
        for _ in range(50):
            totals, seconds, ended = EventTotals(), EventHistograms(), threading.Event()
            reader = threading.Thread(target=read, args=(totals, seconds, ended))
            reader.start()
            for number in range(MAX_EVENTS):
                totals.add(str(number), 1, 1)
                seconds.observe(str(number), 1)
            ended.set()
            reader.join()
    finally:
        sys.setswitchinterval(interval)
    assert failures == []
