"""What `bench.peers` computes of its runs; no peer is installed or run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from bench.native import BenchError, NotInstalled, Serving
from bench.peers import installed, runs
from bench.peers.__main__ import is_chosen
from bench.peers.peers import JSON, PEERS, Peer
from bench.peers.progress import OVERHEAD
from bench.peers.report import as_markdown
from bench.peers.rounds import USUAL_RUNS, USUAL_SECONDS, Runs, Seconds, rounds_of
from bench.peers.runs import MAX_FAILURES, MAX_WARMUP, Result, duration, is_measured, measure
from bench.peers.summary import (
    is_disturbed,
    outcomes,
    spread,
)
from bench.peers.targets import TARGETS, Target
from bench.peers.works import WORKS, PeerWork, Setup
from bench.workloads import Figures


@contextmanager
def nothing(setup: Setup) -> Iterator[Serving]:
    yield Serving([1, 2], [3])


def peer(name: str, *abilities: str) -> Peer:
    return Peer(name, name.capitalize(), nothing, JSON, frozenset(abilities))


def work(id: str = "calls", *needs: str, more_is_better: bool = False) -> PeerWork:
    options = {"clients": 3}
    return PeerWork(id, f"{id} of 3", "calls", options, "µs", "cpu_us", frozenset(needs), more_is_better=more_is_better)


def result(of: PeerWork, name: str, *cpu_us: float) -> Result:
    return Result(of, peer(name), [{"cpu_us": each} for each in cpu_us])


def test_a_spread_is_the_median_and_the_extremes() -> None:
    assert spread([{"x": 3.0}, {"x": 1.0}, {"x": 10.0}], "x") == (3.0, 1.0, 10.0)
    assert spread([{"x": 1.0}, {"x": 2.0}], "x") == (1.5, 1.0, 2.0)


def test_a_figure_that_no_run_has_has_no_spread() -> None:
    assert spread([{"x": 1.0}], "y") is None
    assert spread([], "x") is None


def test_runs_are_disturbed_if_others_had_one_of_the_cores_for_long() -> None:
    assert is_disturbed([{"server_others": 0.1, "generator_others": 0.0}])
    assert is_disturbed([{"server_others": 0.01, "generator_others": 0.3}])
    assert not is_disturbed([{"server_others": 0.01, "generator_others": 0.1}])  # the kernel's work for its sockets
    assert not is_disturbed([{"server_others": each} for each in (0.9, 0.0, 0.0)])
    assert not is_disturbed([{"cpu_us": 1.0}])


def test_a_target_is_met_by_the_ratio_of_the_medians() -> None:
    measured = [result(work(), "crosswire", 9.0, 11.0, 10.0), result(work(), "bun", 8.0)]
    met, missed = outcomes(measured, [Target("calls", 1.25, "bun"), Target("calls", 1.2, "bun")])
    assert (met.measured, met.verdict) == (1.25, "met")
    assert (missed.measured, missed.verdict) == (1.25, "missed")


def test_where_more_is_better_a_target_is_the_least() -> None:
    of = work(more_is_better=True)
    measured = [result(of, "crosswire", 10.0), result(of, "bun", 8.0)]
    met, missed = outcomes(measured, [Target("calls", 1.2, "bun"), Target("calls", 1.3, "bun")])
    assert (met.verdict, missed.verdict) == ("met", "missed")


def test_a_target_without_a_peer_bounds_the_figure_itself() -> None:
    (outcome,) = outcomes([result(work(), "crosswire", 10.0)], [Target("calls", 9, None)])
    assert (outcome.measured, outcome.verdict) == (10.0, "missed")


@pytest.mark.parametrize("theirs", [[], [result(work(), "bun")]])
def test_a_target_whose_peer_was_not_measured_says_so(theirs: list[Result]) -> None:
    (outcome,) = outcomes([result(work(), "crosswire", 10.0), *theirs], [Target("calls", 9, "bun")])
    assert outcome.verdict == "not measured"


def test_a_work_that_crosswire_was_not_measured_at_has_no_outcome() -> None:
    assert outcomes([result(work(), "bun", 10.0)], [Target("calls", 9, "bun")]) == []


def test_every_target_is_of_a_work_and_a_peer_that_can_do_it() -> None:
    works, peers = {each.id: each for each in WORKS}, {each.name: each for each in PEERS}
    for target in TARGETS:
        for name in ("crosswire", target.peer or "crosswire"):
            assert works[target.work].needs <= peers[name].can


def test_names_of_works_and_of_peers_are_unique() -> None:
    assert len({each.id for each in WORKS}) == len(WORKS)
    assert len({each.name for each in PEERS}) == len(PEERS)


def test_only_a_work_with_a_duration_is_told_it() -> None:
    assert duration(work(), peer("a"), 3) == {"seconds": 3, "warmup": 1.5}
    connects = next(each for each in WORKS if each.id == "connects")
    assert duration(connects, peer("a"), 3) == {}


def test_peers_take_turns_and_those_that_cannot_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def run_once(work: PeerWork, peer: Peer, seconds: float) -> Figures:
        order.append(peer.name)
        return {"cpu_us": float(len(order))}

    monkeypatch.setattr(runs, "run_once", run_once)
    peers = [peer("a", "dance"), peer("b"), peer("c", "dance", "sing")]
    a, c = measure([work("calls", "dance")], peers, Runs.equally(2), Seconds.equally(1.0), tell=lambda line: None)
    assert order == ["a", "c", "a", "c"]
    assert (a.runs, c.runs) == ([{"cpu_us": 1.0}, {"cpu_us": 3.0}], [{"cpu_us": 2.0}, {"cpu_us": 4.0}])


def test_a_run_that_fails_is_told_and_repeated_after_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    told: list[str] = []

    def run_once(work: PeerWork, peer: Peer, seconds: float) -> Figures:
        order.append(peer.name)
        if order == ["a"]:
            raise OSError("no port is free")
        return {"cpu_us": 1.0}

    monkeypatch.setattr(runs, "run_once", run_once)
    a, b = measure([work()], [peer("a"), peer("b")], Runs.equally(2), Seconds.equally(1.0), tell=told.append)
    assert order == ["a", "b", "a", "b", "a"]
    assert (a.errors, len(a.runs), len(b.runs)) == (["no port is free"], 2, 2)
    assert told.count("  failed: no port is free") == 1
    assert "1 of 3 runs failed: no port is free" in as_markdown([a, b], [a.peer, b.peer])


def test_a_peer_that_fails_again_is_left_out_of_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    def run_once(work: PeerWork, peer: Peer, seconds: float) -> Figures:
        tries.append(work.id)
        raise BenchError("it lost a message")

    monkeypatch.setattr(runs, "run_once", run_once)
    one, _ = measure(
        [work("one"), work("two")], [peer("a")], Runs.equally(5), Seconds.equally(1.0), tell=lambda line: None
    )
    assert tries == ["one"] * MAX_FAILURES + ["two"] * MAX_FAILURES
    assert "2 of 2 runs failed: it lost a message" in as_markdown([one], [one.peer])


def test_an_error_of_our_own_is_no_failure_of_a_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_once(work: PeerWork, peer: Peer, seconds: float) -> Figures:
        raise ZeroDivisionError

    monkeypatch.setattr(runs, "run_once", run_once)
    with pytest.raises(ZeroDivisionError):
        list(measure([work()], [peer("a")], Runs.equally(1), Seconds.equally(1.0), tell=lambda line: None))


def test_peers_that_a_target_compares_have_more_runs() -> None:
    peers = [peer(name) for name in ("crosswire", "c", "bun")]
    calls, idle = (next(each for each in WORKS if each.id == id) for id in ("calls-1", "idle"))
    counts = [[len(turn) for turn in rounds_of(each, peers, USUAL_RUNS)] for each in (calls, idle)]
    assert counts == [[3, 3, 2, 2, 2], [3, 3]]
    assert [len(turn) for turn in rounds_of(calls, peers[:2], USUAL_RUNS)] == [2, 2]
    assert [len(turn) for turn in rounds_of(calls, peers, Runs.equally(4))] == [3] * 4


def test_runs_are_longer_where_a_target_compares_peers() -> None:
    calls, idle, deflate = (next(each for each in WORKS if each.id == id) for id in ("calls-1", "idle", "deflate-4k"))
    seconds = Seconds(usual=1, with_target=2)
    assert [seconds.of(each) for each in (calls, idle, deflate)] == [2, 1, 1]
    assert Seconds.equally(3).of(calls) == 3


def test_a_run_is_as_long_as_its_work_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    took: dict[str, float] = {}

    def run_once(work: PeerWork, peer: Peer, seconds: float) -> Figures:
        took[work.id] = seconds
        return {"cpu_us": 1.0}

    monkeypatch.setattr(runs, "run_once", run_once)
    list(measure([work("calls-1"), work("other")], [peer("a")], Runs.equally(1), Seconds(1, 2), tell=lambda line: None))
    assert took == {"calls-1": 2, "other": 1}


def test_a_whole_comparison_is_planned_to_take_twenty_minutes() -> None:
    planned = [
        sum(duration(each, peer, USUAL_SECONDS.of(each)).values()) + OVERHEAD
        for each in WORKS
        for turn in rounds_of(each, [peer for peer in PEERS if is_measured(each, peer)], USUAL_RUNS)
        for peer in turn
    ]
    assert sum(planned) < 20.5 * 60


def test_a_peer_that_is_not_installed_is_left_out_after_the_first_try(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0

    def run_once(work: PeerWork, peer: Peer, seconds: float) -> Figures:
        nonlocal tries
        tries += 1
        raise NotInstalled("bun is not installed")

    monkeypatch.setattr(runs, "run_once", run_once)
    (missing,) = measure([work()], [peer("a")], Runs.equally(5), Seconds.equally(1.0), tell=lambda line: None)
    assert (tries, missing.missing, missing.errors) == (1, "bun is not installed", [])
    assert "bun is not installed" in as_markdown([missing], [missing.peer])


def test_the_load_generator_is_told_the_dialect_and_the_ports_of_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    said: dict[str, object] = {}

    def run_loadgen(mode: str, serving: Serving, **options: object) -> Figures:
        said.update(options, mode=mode, ports=serving.ports)
        return {}

    monkeypatch.setattr(runs, "run_loadgen", run_loadgen)
    ask = PeerWork("ask", "ask", "calls", {}, "µs", "cpu_us", frozenset(), Setup(nodes=2), ports=1)
    runs.run_once(ask, peer("a"), 2.0)
    assert said == {
        "mode": "calls",
        "ports": [1],
        "dialect": "json",
        "deadline": runs.DEADLINE,
        "seconds": 2.0,
        "warmup": 1.0,
    }


def test_peers_that_are_compiled_while_they_run_have_a_longer_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    warmups: list[object] = []

    def run_loadgen(mode: str, serving: Serving, **options: object) -> Figures:
        warmups.append(options.get("warmup"))
        return {}

    monkeypatch.setattr(runs, "run_loadgen", run_loadgen)
    compiled = replace(peer("a"), warmup=1.5)
    connects = next(each for each in WORKS if each.id == "connects")
    for of, who, seconds in ((work(), compiled, 1.0), (work(), compiled, 4.0), (connects, compiled, 1.0)):
        runs.run_once(of, who, seconds)
    assert warmups == [1.5, 2.0, None]
    two, eight = (replace(work(), setup=Setup(nodes=count, redis=1)) for count in (2, 8))
    assert [duration(each, compiled, 1.0)["warmup"] for each in (two, eight)] == [3.0, MAX_WARMUP]
    assert {each.name for each in PEERS if each.warmup} == {"bun", "ws", "original", "socket.io"}


def test_the_report_has_a_table_for_each_work_and_says_who_cannot() -> None:
    of = work("calls", "dance")
    can, cannot = peer("crosswire", "dance"), peer("tree")
    busy = Result(of, can, [{"cpu_us": 2.0, "per_second": 1234.0, "generator_busy": 0.9, "server_others": 0.5}])
    lines = as_markdown([busy], [can, cannot]).splitlines()
    assert "### calls of 3 (µs)" in lines
    assert (
        "| Crosswire | 2.00 (2.00 to 2.00) | 1,234 (1,234 to 1,234) | 90% | disturbed by other processes |"
    ) in lines
    assert "Cannot: Tree." in lines


def test_an_option_of_crosswire_is_named_only_where_it_is_measured() -> None:
    variants = {each.name for each in PEERS if each.is_variant}
    assert variants == {each.name for each in PEERS if each.name.startswith("crosswire-")} | {"original-cold"}
    of = next(each for each in WORKS if each.id == "calls-1")
    assert "Crosswire with" not in as_markdown([Result(of, PEERS[0], [{"cpu_us": 1.0}])], PEERS)


def test_the_original_is_measured_while_it_is_compiled_where_nodes_talk() -> None:
    cold = next(each for each in PEERS if each.name == "original-cold")
    assert {work.id for work in WORKS if is_measured(work, cold)} == {"nodes-tell", "nodes-ask"}
    assert duration(WORKS[0], cold, 1.0)["warmup"] == 0.5


def test_only_some_peers_may_be_among_those_of_a_work() -> None:
    some = PeerWork("a", "", "calls", {}, "", "cpu_us", frozenset({"x"}), among=frozenset({"one", "unable"}))
    assert is_measured(some, peer("one", "x"))
    assert not is_measured(some, peer("unable"))
    assert not is_measured(some, peer("other", "x"))
    assert is_measured(replace(some, among=frozenset()), peer("other", "x"))


def test_peers_that_are_not_among_those_of_a_work_are_not_said_to_be_unable() -> None:
    some = replace(work("a", "x"), among=frozenset({"one"}))
    text = as_markdown([result(some, "one", 1.0)], [peer("one", "x"), peer("other")])
    assert "Other" not in text


def test_the_peers_that_works_name_exist_and_can_do_them() -> None:
    named = [(each, name) for each in WORKS for name in each.among]
    assert named
    abilities = {each.name: each.can for each in PEERS}
    unable = [(each.id, name) for each, name in named if not each.needs <= abilities[name]]
    assert {name for _, name in unable} <= {"c"}  # it has no rooms


def test_a_work_is_chosen_by_its_id_or_by_a_part_of_its_title() -> None:
    def chosen(*texts: str) -> list[str]:
        return [each.id for each in WORKS if is_chosen(each, texts)]

    assert chosen("fanout-100") == ["fanout-100"]
    assert chosen("idle connection", "calls-1") == ["calls-1", "idle"]
    assert chosen() == [each.id for each in WORKS]
    assert chosen("juggling") == []


@pytest.mark.parametrize("name", ["bun", "ws", "original", "socket.io", "python-socketio", "channels"])
def test_a_peer_whose_packages_are_missing_is_not_installed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for directory in ("PACKAGES", "ORIGINAL", "ENVIRONMENT"):
        monkeypatch.setattr(installed, directory, tmp_path)
    (found,) = (each for each in PEERS if each.name == name)
    with pytest.raises(NotInstalled), found.start(Setup()):
        pass
