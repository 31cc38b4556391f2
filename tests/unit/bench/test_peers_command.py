"""The command `python -m bench.peers`: what it leaves, and its exit status; nothing is measured here."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from bench.peers import __main__ as command
from bench.peers.peers import PEERS, Peer
from bench.peers.rounds import USUAL_RUNS, USUAL_SECONDS, Runs, Seconds
from bench.peers.runs import Result, is_measured
from bench.peers.works import WORKS, PeerWork

Measure = Callable[[Sequence[PeerWork], Sequence[Peer], Runs, Seconds, Callable[[str], None]], Iterator[Result]]


@pytest.fixture(autouse=True)
def nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    usual = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(command, "build", lambda name: None)
    monkeypatch.setattr(command, "versions", dict)
    yield
    signal.signal(signal.SIGTERM, usual)


def run(monkeypatch: pytest.MonkeyPatch, measure: Measure, *arguments: str) -> int:
    monkeypatch.setattr(command, "measure", measure)
    monkeypatch.setattr(sys, "argv", ["bench.peers", *arguments])
    return command.main()


def fine(
    works: Sequence[PeerWork], peers: Sequence[Peer], runs: Runs, seconds: Seconds, tell: Callable[[str], None]
) -> Iterator[Result]:
    for work in works:
        for peer in peers:
            if is_measured(work, peer):
                yield Result(work, peer, [{work.figure: 1.0}])


def test_the_page_names_the_command_that_it_is_a_part_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    assert run(monkeypatch, fine, "--called", "make bench-peers", "--write", str(page)) == 0
    assert "```\nmake bench-peers  # " in page.read_text()


def test_a_failed_run_makes_the_exit_status_1_and_is_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"

    def once_failed(
        works: Sequence[PeerWork], peers: Sequence[Peer], runs: Runs, seconds: Seconds, tell: Callable[[str], None]
    ) -> Iterator[Result]:
        yield Result(works[0], peers[0], [{"cpu_us": 1.0}], ["it lost a message"])

    assert run(monkeypatch, once_failed, "--write", str(page)) == 1
    assert "1 of 2 runs failed: it lost a message" in page.read_text()
    assert "fanout-1000: 1 runs of crosswire failed, 1 did not" in capsys.readouterr().err


def test_what_was_measured_before_an_interruption_is_kept_and_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = tmp_path / "saved.json"
    asked: list[str] = []

    def stopped(
        works: Sequence[PeerWork], peers: Sequence[Peer], runs: Runs, seconds: Seconds, tell: Callable[[str], None]
    ) -> Iterator[Result]:
        yield from fine(works[:2], peers, runs, seconds, tell)
        signal.raise_signal(signal.SIGTERM)

    def noted(
        works: Sequence[PeerWork], peers: Sequence[Peer], runs: Runs, seconds: Seconds, tell: Callable[[str], None]
    ) -> Iterator[Result]:
        asked.extend(work.id for work in works)
        return fine(works, peers, runs, seconds, tell)

    arguments = ["--continue", "--json", str(saved), "--called", "make bench-peers"]
    assert run(monkeypatch, stopped, *arguments) == command.INTERRUPTED
    assert not json.loads(saved.read_text())["complete"]
    assert run(monkeypatch, noted, *arguments) == 0
    first, second, third = WORKS[:3]
    assert asked[0] == third.id
    assert not {first.id, second.id} & set(asked)
    found = json.loads(saved.read_text())
    assert found["complete"]
    assert {each["work"] for each in found["results"]} == {work.id for work in WORKS}


def test_runs_and_seconds_that_are_asked_for_are_those_of_every_peer_and_work(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Runs, Seconds]] = []

    def noted(
        works: Sequence[PeerWork], peers: Sequence[Peer], runs: Runs, seconds: Seconds, tell: Callable[[str], None]
    ) -> Iterator[Result]:
        asked.append((runs, seconds))
        return fine(works, peers, runs, seconds, tell)

    run(monkeypatch, noted, "--only", "calls-1")
    run(monkeypatch, noted, "--only", "calls-1", "--runs", "4")
    run(monkeypatch, noted, "--only", "calls-1", "--seconds", "2")
    run(monkeypatch, noted, "--only", "calls-1", "--quick")
    assert asked == [
        (USUAL_RUNS, USUAL_SECONDS),
        (Runs(4, 4), USUAL_SECONDS),
        (USUAL_RUNS, Seconds(2, 2)),
        (USUAL_RUNS, Seconds(0.4, 0.4)),
    ]


def test_every_peer_has_a_work() -> None:
    measured = {peer.name for work in WORKS for peer in PEERS if is_measured(work, peer)}
    assert measured == {peer.name for peer in PEERS}
