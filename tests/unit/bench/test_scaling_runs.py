"""What `bench.scaling` does with its runs; none is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from bench.native import BenchError, Serving
from bench.scaling import runs
from bench.scaling.bus_bytes import BytesOfRun, Counted, Look, count, meeting_in, member_bytes_of
from bench.scaling.calibration import costs_of, with_meetings
from bench.scaling.comparison import Compared, Pair, compare, repetition, verdict
from bench.scaling.model import (
    Costs,
    Rate,
    Shares,
    idle_shares,
    member_traffic,
    nodes_cost,
    probe_bytes,
    redis_cost,
    shares,
)
from bench.scaling.runs import (
    Cluster,
    Measured,
    Observed,
    Trial,
    calibrations,
    comparisons,
    meetings,
    run_in_turns,
    under_load,
)
from bench.scaling.under_load import under_load_of

from crosswire.testing.redis_process import RedisProcess

COSTS = Costs(
    say=70,
    tell=120,
    receive=100,
    deliver=6,
    publish=12,
    forward=9,
    apart=4,
    cold=0.008,
    meeting=0.4,
    met_nodes=30,
    met_redis=15,
    beat=200,
    idle=0.001,
    redis_idle=0.0005,
)


def ran(costs: Costs, trial: Trial, per_second: float = 1000, factor: float = 1.0) -> list[Measured]:
    """Return a run that costs what the model says, or a multiple of it."""
    rates = [Rate(per_second, message) for _, message in trial.loads]
    used = shares(costs, trial.nodes, rates)
    per_message = factor / per_second * 1e6
    return [Measured(per_second, used.redis * per_message, used.nodes * per_message, 0.1, 90) for _ in rates]


def in_bytes(trial: Trial, size: float = 1000.0, per_second: float = 1000.0) -> BytesOfRun:
    """Return a run in which bytes were counted."""
    return BytesOfRun(Counted(size, per_second), ran(COSTS, trial))


def idle(costs: Costs) -> dict[int, Shares]:
    return {nodes: idle_shares(costs, nodes) for nodes in (1, 2)}


def test_the_costs_are_found_from_runs_of_one_node_and_two() -> None:
    observed = [Observed(trial, [ran(COSTS, trial)]) for trial in calibrations()]
    assert {each.trial.nodes for each in observed} == {1, 2}
    met = [Observed(trial, [ran(COSTS, trial)]) for trial in meetings()]
    found = with_meetings(costs_of(observed, idle(COSTS), 0.0), met, 0.4)
    for name in Costs.__slots__:
        assert getattr(found, name) == pytest.approx(getattr(COSTS, name), rel=1e-3), name


def test_a_run_in_a_slow_moment_does_not_change_the_costs() -> None:
    observed = [Observed(trial, [ran(COSTS, trial, factor=each) for each in (1, 9, 1)]) for trial in calibrations()]
    assert costs_of(observed, idle(COSTS), 0.0).say == pytest.approx(COSTS.say, rel=1e-3)


def test_trials_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[tuple[str, int]] = []

    def run_once(running: Serving, trial: Trial, seconds: float) -> list[Measured]:
        order.append((trial.title, running.ports[0]))
        return [Measured(seconds, 0, 0, 0, 0)]

    monkeypatch.setattr(runs, "run_once", run_once)
    redis = RedisProcess.__new__(RedisProcess)  # none is started
    clusters = {nodes: Cluster(Serving([nodes], []), redis) for nodes in (2, 4)}
    trials = [Trial("a", 2, ()), Trial("b", 4, ())]
    told: list[str] = []
    a, b = run_in_turns(clusters, trials, 2, 0.5, told.append)
    assert order == [("a", 2), ("b", 4)] * 2
    assert a.runs == b.runs == [[Measured(0.5, 0, 0, 0, 0)]] * 2
    assert told == ["round 1 of 2", "round 2 of 2"]


def test_what_the_model_is_fitted_to_is_not_what_it_is_compared_with() -> None:
    fitted = [(each.nodes, load) for each in [*calibrations(), *meetings()] for load, _ in each.loads]
    compared = [(each.nodes, load) for nodes in (2, 4, 8) for each in comparisons(nodes) for load, _ in each.loads]
    assert [each for each in compared if each in fitted] == []


def test_of_several_runs_the_one_in_the_middle_is_compared() -> None:
    (trial, *_) = comparisons(4)
    observed = Observed(trial, [ran(COSTS, trial, factor=each) for each in (1.1, 3.0, 0.9)])
    found = compare(COSTS, observed, in_bytes(trial))
    assert found.cpu.measured == pytest.approx(1.1 * found.cpu.predicted)
    assert found.redis.measured == pytest.approx(1.1 * found.redis.predicted)
    assert found.cpu_runs == pytest.approx([1.1, 3.0, 0.9])


def test_two_loads_at_the_same_time_are_predicted_together() -> None:
    trial = comparisons(2)[-1]
    assert len(trial.loads) == 2
    found = compare(COSTS, Observed(trial, [ran(COSTS, trial)]), in_bytes(trial))
    assert found.cpu.error == pytest.approx(0)
    assert found.redis.error == pytest.approx(0)


def compared(cpu: float, redis: float, wire: float) -> Compared:
    return Compared("", 2, Pair(cpu, 1.0), Pair(redis, 1.0), Pair(wire, 1.0), 0.0, [], [])


def test_the_verdict_counts_the_predictions_that_are_good() -> None:
    assert verdict([compared(1.15, 0.8, 1.0), compared(0.9, 1.1, 1.01)]) == pytest.approx((6, 5, 0.15, 0.2, 0.01))


def test_runs_that_repeat_themselves_differ_by_nothing() -> None:
    assert repetition([[2.0] * 4, [3.0] * 4]) == (0, 0)


def test_a_run_is_compared_with_the_median_of_its_kind_and_a_half_with_the_other() -> None:
    assert repetition([[1.0, 1.2, 1.0, 1.2]]) == pytest.approx((0.1 / 1.1, 0.2 / 1.2))


def test_under_load_medians_are_what_a_message_cost() -> None:
    trial = under_load()[0]
    ((_, message),) = trial.loads
    slow, usual = [Measured(1, 9.0, 90.0, 0, 0)], [Measured(1, 1.0, 10.0, 0, 0)]
    found = under_load_of(Observed(trial, [usual, slow, usual]))
    assert (found.message, found.nodes, found.redis) == (message, 10.0, 1.0)
    assert nodes_cost(COSTS, message) > found.nodes
    assert redis_cost(COSTS, message) > found.redis


def test_beats_are_among_the_bytes_of_each_publish() -> None:
    trial, costs = comparisons(2)[2], replace(COSTS, member_bytes=10.0)
    often, rarely = (
        compare(costs, Observed(trial, [ran(COSTS, trial)]), in_bytes(trial, 0.5, each)).wire for each in (1e9, 8.0)
    )
    assert often.measured == 0.5
    traffic = member_traffic(2)
    unsaid = 10.0 * (traffic.published + traffic.forwarded) + traffic.probes * probe_bytes()
    said = 8 - traffic.published - traffic.probes
    assert rarely.predicted == pytest.approx((said * often.predicted + unsaid) / 8)


def test_probes_are_not_among_the_bytes_of_a_message_about_membership() -> None:
    traffic = member_traffic(2)
    published = traffic.published + traffic.probes
    in_second = 90.0 * (traffic.published + traffic.forwarded) + traffic.probes * probe_bytes()
    assert member_bytes_of(Counted(in_second / published, published), traffic) == pytest.approx(90)


def test_the_bytes_are_predicted_from_what_was_said_in_the_run_in_which_they_were_counted() -> None:
    trial = comparisons(8)[-1]
    told, said = ran(COSTS, trial)
    mostly_told, mostly_said = [
        compare(
            COSTS,
            Observed(trial, [ran(COSTS, trial)]),
            BytesOfRun(Counted(400.0, 1000.0), [told._replace(per_second=1000 - each), said._replace(per_second=each)]),
        ).wire.predicted
        for each in (1, 999)
    ]
    assert mostly_said > 3 * mostly_told


def test_messages_meet_where_redis_reads_less_often_than_it_publishes() -> None:
    trial = meetings()[0]
    told, said = ran(COSTS, trial)
    run = BytesOfRun(Counted(400.0, 1000.0, reads=0.8), [told._replace(per_second=600), said._replace(per_second=400)])
    assert meeting_in([run]) == pytest.approx(200 / 400)


def test_a_slow_moment_does_not_change_what_is_spared_where_messages_meet() -> None:
    met = [Observed(trial, [ran(COSTS, trial, factor=each) for each in (1, 1.5, 1)]) for trial in meetings()]
    found = with_meetings(replace(COSTS, met_nodes=0.0, met_redis=0.0), met, COSTS.meeting)
    assert (found.met_nodes, found.met_redis) == pytest.approx((COSTS.met_nodes, COSTS.met_redis))


def test_all_loads_of_a_trial_are_measured_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    together: list[list[str]] = []

    def run_together(running: Serving, loads: Sequence[tuple[str, Mapping[str, object]]]) -> list[dict[str, float]]:
        together.append([mode for mode, _ in loads])
        return [{"per_second": 400.0, "cpu_us_1": 1.0, "cpu_us_2": 10.0, "server_others": 0.1, "bytes": 90.0}] * 2

    monkeypatch.setattr(runs, "run_together", run_together)
    trial = comparisons(2)[-1]
    told, said = runs.run_once(Serving([1], [2, 3]), trial, 0.5)
    assert together == [["tell", "room"]]
    assert told == Measured(400.0, 1.0, 10.0, 0.1, 90)
    assert said == Measured(4.0, 100.0, 1000.0, 0.1, 90)  # each message has a hundred deliveries


def test_what_goes_over_the_bus_is_counted_between_two_looks() -> None:
    assert count(Look(1.0, 5000, 7, 10), Look(3.0, 9000, 10, 14)) == (1000, 2, 0.75)


def test_where_nothing_is_published_there_is_nothing_to_count() -> None:
    with pytest.raises(BenchError, match="nothing was published"):
        count(Look(1.0, 0, 1, 5), Look(2.0, 100, 2, 5))
