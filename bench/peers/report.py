"""The report of a comparison: Markdown for the terminal, and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from bench.peers.peers import Peer
from bench.peers.runs import Result
from bench.peers.summary import Outcome, Spread, is_disturbed, is_limited_by_generator, outcomes, spread
from bench.peers.works import PeerWork

HEAD = [
    "| peer | CPU, µs for one | a second | p50, ms | p99, ms | bytes for one | notes |",
    "|---|---:|---:|---:|---:|---:|---|",
]


def as_markdown(results: Sequence[Result], peers: Sequence[Peer]) -> str:
    """Format a table for each work, and then the targets."""
    lines: list[str] = []
    for _, group in groupby(results, key=lambda result: result.work.id):
        lines += ["", *_table(list(group), peers)]
    return "\n".join([*lines, "", *_targets(outcomes(results))])


def _table(results: Sequence[Result], peers: Sequence[Peer]) -> Iterator[str]:
    work = results[0].work
    yield f"### {work.title} ({work.unit})"
    yield ""
    yield from HEAD
    yield from (_row(result) for result in results)
    yield from (f"| {peer.title} | — | | | | | cannot |" for peer in peers if not work.needs <= peer.can)


def _row(result: Result) -> str:
    runs = result.runs
    figures = [
        _cell(spread(runs, "cpu_us"), 2),
        _cell(spread(runs, "per_second"), 0),
        _cell(spread(runs, "p50_ms"), 2),
        _cell(spread(runs, "p99_ms"), 2),
        _cell(spread(runs, "bytes_per_client"), 0),
    ]
    return f"| {' | '.join([result.peer.title, *figures, '; '.join(_notes(result))])} |"


def _cell(figure: Spread | None, digits: int) -> str:
    """Format a median, with the least and the most behind it."""
    if figure is None:
        return ""
    median, least, most = (f"{value:,.{digits}f}" for value in figure)
    return f"{median} ({least} to {most})"


def _notes(result: Result) -> Iterator[str]:
    if result.missing:
        yield result.missing
    if result.errors:
        yield f"{len(result.errors)} failed: {result.errors[0].splitlines()[0][:200]}"
    if is_limited_by_generator(result.runs):
        yield "the load generator was more than half busy"
    if is_disturbed(result.runs):
        yield "disturbed by other processes"


def _targets(reached: Iterable[Outcome]) -> Iterator[str]:
    yield "| target | bound | measured | |"
    yield "|---|---:|---:|---|"
    for outcome in reached:
        against = f", beside {outcome.target.peer}" if outcome.target.peer else ""
        verdict = "met" if outcome.is_met else "missed"
        yield f"| {outcome.title}{against} | {outcome.target.bound:g} | {_short(outcome.measured)} | {verdict} |"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def as_json(command: str, date: str, machine: Mapping[str, str], results: Iterable[Result]) -> dict[str, Any]:
    """Return what was measured, for JSON."""
    return {"command": command, "date": date, "machine": machine, "results": [_result(result) for result in results]}


def _result(result: Result) -> dict[str, Any]:
    work: PeerWork = result.work
    return {
        "work": work.id,
        "title": work.title,
        "unit": work.unit,
        "figure": work.figure,
        "peer": result.peer.name,
        "runs": result.runs,
        "errors": result.errors,
        "missing": result.missing,
    }
