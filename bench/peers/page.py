"""The page of a comparison, docs/benchmarks.md, with its plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from textwrap import fill

from bench.disturbance import MAX_OF_GENERATOR, MAX_OF_SERVER
from bench.peers.comparison import Comparison
from bench.peers.peers import COMPILING, Peer
from bench.peers.plots import Bar, Panel, picture
from bench.peers.report import heading, short, table, targets
from bench.peers.rounds import USUAL_RUNS, USUAL_SECONDS
from bench.peers.runs import MAX_WARMUP, Result
from bench.peers.sections import SECTIONS, Section
from bench.peers.summary import outcomes, spread

PLOTS = "benchmarks"
"""Folder of the plots, beside the page."""
TEXT_WIDTH = 120
"""Characters of a line of text."""

INTRODUCTION = f"""\
# Benchmarks

What a message, a call and a connection cost in Crosswire and in other servers that do the same work. This page is
written by the command that measures, and everything on it is from its output; [performance.md](performance.md) says how
Crosswire is built to be fast, and what was tried.

- **The same work.** One load generator in C (`bench/loadgen.c`) for all. For each server there is a small adapter in
  `bench/peers/adapters`, written as a good user of it writes it, with its defaults.
- **One core for all processes of the server side**, Redis included; the load generator has another. So a figure is
  work done, and not cores used. The figure to compare is the CPU time of the server side for one delivery, answer,
  message or connection: what a second brings depends on the load generator, too.
- **Checked.** Each client has to get each message once; a loss, a refusal or a close makes the run fail.
- **Interleaved.** The servers take turns, each newly started for each run, so that a slow moment of the machine affects
  all of them. Unless the command says otherwise a run measures for {USUAL_SECONDS.usual:g} s, or for
  {USUAL_SECONDS.with_target:g} s at works with a target beside another server, after half as long; programs that are
  compiled while they run, as on Node.js and Bun, have at least {COMPILING:g} s before, to be at their best, and so for
  each of several nodes, up to {MAX_WARMUP:g} s. Each server runs {USUAL_RUNS.usual} times, and
  {USUAL_RUNS.of_target} times if a target compares it. A run that fails is told, and repeated. Figures are medians of
  the runs, with the least and the most in brackets; in the plots these are the whiskers.
- **Latency** is the time from the moment when the load generator sends a message to the moment when it has a delivery
  or an answer. With many messages in flight it is above all the time that they wait for each other.
- **Yardsticks.** "bare epoll loop in C" and "bare callbacks in Python" are no servers: they do the work and nothing
  else. They check, limit, number and acknowledge nothing. The second is on the libraries that Crosswire is on.
- **The original** is websocket-cross-server-adapter. Where nodes talk to each other it has a second row, of runs with
  as little warm-up as those of servers that are not compiled while they run; the targets are beside the first.
- **Installed** from PyPI and npm, by `make bench-peers`. Where a registry lacks websocket-cross-server-adapter, its row
  says so; `python -m bench.peers.install --original FOLDER` installs it from a folder with its package.
- **"Load generator busy"** is the share of its core that it used. Where it is high, it limits what a second brings as
  much as the server does.
- Compare figures of one table with each other. The machine is small, and shared with others of its kind."""

NOTES = (
    f'A note says "disturbed" where others took more than {MAX_OF_SERVER:.0%} of the time of the servers\' core, or '
    f"{MAX_OF_GENERATOR:.0%} of the load generator's, in the median of the runs; the kernel's own work for the sockets "
    'of the generator is among the latter. "Cannot" is said of a server that has nothing for a work, or whose adapter '
    "does not do it."
)


def write(comparison: Comparison, command: str, page: Path) -> None:
    """Write the page, and its plots into a folder beside it.

    Args:
        comparison: what was measured.
        command: command line that writes the page.
        page: file of the page.
    """
    plots = page.parent / PLOTS
    plots.mkdir(parents=True, exist_ok=True)
    for stale in plots.glob("*.svg"):
        stale.unlink()
    for section, results in _sections(comparison):
        if panels := _panels(results):
            (plots / f"{section.name}.svg").write_text(picture(panels, section.title))
    page.write_text("\n".join(as_page(comparison, command)) + "\n")


def as_page(comparison: Comparison, command: str) -> Iterator[str]:
    """Yield the lines of the page."""
    yield INTRODUCTION
    yield ""
    yield from _commands(comparison, command)
    yield from _targets(comparison)
    for section, results in _sections(comparison):
        yield from _section(section, results, _peers(comparison))
    yield from _machine(comparison)


def _commands(comparison: Comparison, command: str) -> Iterator[str]:
    yield from ["```", *(f"{each}  # {date}" for each, date in comparison.commands)]
    if command not in [each for each, _ in comparison.commands]:
        yield command
    yield "```"


def _targets(comparison: Comparison) -> Iterator[str]:
    if reached := outcomes(comparison.results):
        yield from ["", "## Targets", "", "Ratios of medians of one run, of the figure that the plot shows.", ""]
        yield from targets(reached)


def _sections(comparison: Comparison) -> Iterator[tuple[Section, list[Result]]]:
    """Yield each section with its results, unless it has none."""
    for section in SECTIONS:
        if results := [result for result in comparison.results if result.work.id in section.works]:
            yield section, results


def _section(section: Section, results: Sequence[Result], peers: Sequence[Peer]) -> Iterator[str]:
    yield from ["", f"## {section.title}", "", fill(section.text, TEXT_WIDTH)]
    if _panels(results):
        yield from ["", f"![{section.title}: the figures of the tables below]({PLOTS}/{section.name}.svg)"]
    for _, group in groupby(results, key=lambda result: result.work.id):
        of_work = list(group)
        yield from ["", f"### {heading(of_work[0].work)}", "", *table(of_work, peers)]


def _peers(comparison: Comparison) -> list[Peer]:
    """Return the peers that were measured at anything."""
    return list({result.peer.name: result.peer for result in comparison.results}.values())


def _panels(results: Sequence[Result]) -> list[Panel]:
    panels = [_panel(list(group)) for _, group in groupby(results, key=lambda result: result.work.id)]
    return [panel for panel in panels if panel.bars]


def _panel(results: Sequence[Result]) -> Panel:
    """Return the bars of one work, the best on top."""
    work = results[0].work
    measured = [(result, figure) for result in results if (figure := spread(result.runs, work.figure)) is not None]
    measured.sort(key=lambda each: each[1].median, reverse=work.more_is_better)
    bars = [
        Bar(result.peer.title, figure, short(figure.median), result.peer.name == "crosswire")
        for result, figure in measured
    ]
    return Panel(work.title, work.unit, bars, work.more_is_better)


def _machine(comparison: Comparison) -> Iterator[str]:
    yield from ["", "## Machine and versions", "", fill(NOTES, TEXT_WIDTH), "", "| what | |", "|---|---|"]
    yield from (f"| {name} | {value} |" for name, value in comparison.machine.items())
