"""A comparison that was interrupted goes on; nothing is measured here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from bench.peers.__main__ import go_on
from bench.peers.comparison import Comparison
from bench.peers.continuing import digest, interrupted
from bench.peers.peers import PEERS
from bench.peers.runs import Result, is_measured
from bench.peers.works import WORKS

FIRST, SECOND = WORKS[0], WORKS[1]
SETTINGS = {"command": "compare", "runs": [2, 3, 5], "seconds": 1.0, "source": "abc"}
MACHINE = {"cpu": "a processor", "load": "0.1"}


def comparison(
    results: list[Result] | None = None, settings: Mapping[str, object] = SETTINGS, machine: Mapping[str, str] = MACHINE
) -> Comparison:
    return Comparison([("compare", "at noon")], machine, results or [], settings)


def results_of(*works: object) -> list[Result]:
    return [
        Result(work, peer, [{"cpu_us": 1.0}])
        for work in WORKS
        if work in works
        for peer in PEERS
        if is_measured(work, peer)
    ]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "comparison.json"


def test_works_that_all_peers_have_done_are_not_done_again(file: Path) -> None:
    comparison(results_of(FIRST)).write(file)
    earlier = interrupted(file, comparison(machine={**MACHINE, "load": "7.0"}), PEERS)
    assert earlier is not None
    assert [(each.work.id, each.peer.name) for each in earlier.results] == [
        (FIRST.id, peer.name) for peer in PEERS if is_measured(FIRST, peer)
    ]


def test_a_work_that_was_under_way_is_done_again(file: Path) -> None:
    comparison(results_of(FIRST, SECOND)[:-1]).write(file)
    earlier = interrupted(file, comparison(), PEERS)
    assert earlier is not None
    assert {each.work.id for each in earlier.results} == {FIRST.id}


def test_only_the_peers_that_are_compared_have_to_have_done_a_work(file: Path) -> None:
    few = [peer for peer in PEERS if peer.name in ("crosswire", "bun")]
    comparison([Result(FIRST, peer) for peer in few]).write(file)
    assert interrupted(file, comparison(), PEERS) is None
    assert interrupted(file, comparison(), few) is not None


def test_there_is_nothing_to_go_on_with_without_a_file(file: Path) -> None:
    assert interrupted(file, comparison(), PEERS) is None


def test_a_comparison_that_is_complete_is_begun_anew(file: Path) -> None:
    whole = comparison(results_of(FIRST))
    whole.complete = True
    whole.write(file)
    assert interrupted(file, comparison(), PEERS) is None


@pytest.mark.parametrize(
    ("settings", "machine"),
    [
        ({**SETTINGS, "source": "changed"}, MACHINE),
        ({**SETTINGS, "runs": [5, 5, 5]}, MACHINE),
        (SETTINGS, {"cpu": "another"}),
    ],
)
def test_another_comparison_is_begun_anew(
    file: Path, settings: Mapping[str, object], machine: Mapping[str, str]
) -> None:
    comparison(results_of(FIRST)).write(file)
    assert interrupted(file, comparison(settings=settings, machine=machine), PEERS) is None


def test_the_page_says_that_a_comparison_was_continued(file: Path) -> None:
    earlier, now = comparison(results_of(FIRST)), comparison()
    now.commands = [("compare", "at one")]
    continued = go_on(earlier, now)
    assert continued.commands == [("compare", "at noon, continued at one")]
    assert continued.results == earlier.results
    continued.write(file)
    assert json.loads(file.read_text())["settings"] == SETTINGS


def test_the_digest_is_that_of_the_source(tmp_path: Path) -> None:
    source, built = tmp_path / "src" / "a.py", tmp_path / "bench" / "build" / "b.py"
    for each in (source, built):
        each.parent.mkdir(parents=True)
        each.write_text("1")
    before = digest(tmp_path)
    built.write_text("2")
    assert digest(tmp_path) == before
    source.write_text("2")
    assert digest(tmp_path) != before
