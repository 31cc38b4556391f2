"""Tables of results, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from bench.native import ROOT
from bench.peers.peers import Peer
from bench.peers.runs import Result
from bench.peers.summary import Outcome, Spread, is_disturbed, outcomes, spread
from bench.peers.works import PeerWork


class Column(NamedTuple):
    """Column of a table: its heading, its figure, and the format of the median, the least and the most."""

    heading: str
    figure: str
    format: str


COLUMNS = [
    Column("CPU, µs for one", "cpu_us", ",.2f"),
    Column("a second", "per_second", ",.0f"),
    Column("p50, ms", "p50_ms", ",.2f"),
    Column("p99, ms", "p99_ms", ",.2f"),
    Column("bytes for one", "bytes_per_client", ",.0f"),
]
GENERATOR = Column("load generator busy", "generator_busy", ".0%")
"""Share of its core that the load generator used: the more it is, the more it limits what a second brings."""
ON_NETWORK = Column("bytes on the network", "bytes", ",.0f")
"""Column of the works that compress."""
UNTIL_DONE = Column("seconds", "seconds", ",.2f")
"""Column of the works that have an amount to do."""


def as_markdown(results: Sequence[Result], peers: Sequence[Peer]) -> str:
    """Format a table for each work, and then the targets."""
    lines: list[str] = []
    for _, group in groupby(results, key=lambda result: result.work.id):
        of_work = list(group)
        lines += ["", f"### {heading(of_work[0].work)}", "", *table(of_work, peers)]
    if reached := outcomes(results):
        lines += ["", *targets(reached)]
    return "\n".join(lines)


def heading(work: PeerWork) -> str:
    """Return the heading of a work: what is done, and what is counted."""
    return f"{work.title} ({work.unit})"


def table(results: Sequence[Result], peers: Sequence[Peer]) -> Iterator[str]:
    """Yield the lines of the table of one work: what was measured, and below it which peers cannot do it."""
    work = results[0].work
    columns = [column for column in _columns(work) if any(spread(result.runs, column.figure) for result in results)]
    yield f"| {' | '.join(['peer', *(column.heading for column in columns), 'notes'])} |"
    yield f"|---|{'---:|' * len(columns)}---|"
    yield from (_row(result, columns) for result in results)
    if unable := [peer.title for peer in peers if is_unable(peer, work)]:
        yield ""
        yield f"Cannot: {', '.join(unable)}."


def is_unable(peer: Peer, work: PeerWork) -> bool:
    """Return whether a reader might look for a peer at a work that it cannot do."""
    return not work.needs <= peer.can and not work.among and not peer.is_variant


def _columns(work: PeerWork) -> Iterator[Column]:
    if work.figure == UNTIL_DONE.figure:
        yield UNTIL_DONE
    yield from COLUMNS
    if work.setup.compression:
        yield ON_NETWORK
    yield GENERATOR


def _row(result: Result, columns: Sequence[Column]) -> str:
    figures = (_cell(spread(result.runs, column.figure), column) for column in columns)
    return f"| {' | '.join([result.peer.title, *figures, '; '.join(_notes(result))])} |"


def _cell(figure: Spread | None, column: Column) -> str:
    """Format a median, with the least and the most behind it; of what only explains the others, the median alone."""
    if figure is None:
        return ""
    median, least, most = (f"{value:{column.format}}" for value in figure)
    return median if column is GENERATOR else f"{median} ({least} to {most})"


def _notes(result: Result) -> Iterator[str]:
    if result.missing:
        yield result.missing
    if result.errors:
        made = len(result.runs) + len(result.errors)
        yield f"{len(result.errors)} of {made} runs failed: {_in_table(result.errors[0])}"
    if is_disturbed(result.runs):
        yield "disturbed by other processes"


def _in_table(error: str) -> str:
    """Return the beginning of an error as a cell can hold it, without the directory of this checkout."""
    return error.replace(f"{ROOT}/", "").splitlines()[0][:200].replace("|", "/")


def targets(reached: Iterable[Outcome]) -> Iterator[str]:
    """Yield the lines of the table of targets."""
    yield "| target | bound | measured | |"
    yield "|---|---:|---:|---|"
    for outcome in reached:
        against = f", beside {outcome.target.peer}" if outcome.target.peer else ""
        bound = f"{'at least' if outcome.work.more_is_better else 'at most'} {outcome.target.bound:g}"
        measured = "—" if outcome.measured is None else short(outcome.measured)
        yield f"| {outcome.work.title}{against} | {bound} | {measured} | {outcome.verdict} |"


def short(value: float) -> str:
    """Format a figure with as many digits as say something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
