from __future__ import annotations

from crosswire.core.metric_families import MetricFamily, MetricSample, counter, gauge, labelled, merged, with_label


def test_a_label_is_added_in_front_of_the_others() -> None:
    family = labelled("counter", "drops", "what is lost", ("reason",), [(("full",), 2), (("late",), 3)])
    (changed,) = with_label([family], "node", "a")
    assert changed.labels == ("node", "reason")
    assert changed.samples == (MetricSample(("a", "full"), 2), MetricSample(("a", "late"), 3))


def test_metrics_of_several_nodes_are_joined_by_name() -> None:
    lists = [with_label([gauge("users", "who is there", index), counter("beats", "", 1)], "node", str(index))
             for index in range(3)]  # fmt: skip
    users, beats = merged(lists)
    assert users == MetricFamily(
        "users", "who is there", "gauge", ("node",), tuple(MetricSample((str(index),), index) for index in range(3))
    )
    assert [sample.labels for sample in beats.samples] == [("0",), ("1",), ("2",)]


def test_a_metric_that_another_version_labels_otherwise_is_left_out() -> None:
    ours = with_label([gauge("users", "", 1)], "node", "a")
    assert merged([ours, [gauge("users", "", 2)], with_label([counter("users", "", 3)], "node", "b")]) == ours
