"""Summaries of runs: medians and spreads, disturbances, and the targets as ratios of medians."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from bench.peers.runs import Result
from bench.workloads import Figures

MAX_GENERATOR_BUSY = 0.5
"""Share of its core that the load generator may use; above it, the generator may be the limit and not the server."""
MAX_DISTURBANCE = 0.05
"""Share of a core's time that other processes may take; above it, a run is marked."""


class Spread(NamedTuple):
    """Median of the runs, and the smallest and largest of them."""

    median: float
    least: float
    most: float


def spread(runs: Sequence[Figures], figure: str) -> Spread | None:
    """Return the spread of a figure over runs, None if none of them has it."""
    values = [run[figure] for run in runs if figure in run]
    return Spread(median(values), min(values), max(values)) if values else None


def is_limited_by_generator(runs: Sequence[Figures]) -> bool:
    """Return whether the load generator was busier than it may be, in the median."""
    busy = spread(runs, "generator_busy")
    return busy is not None and busy.median > MAX_GENERATOR_BUSY


def is_disturbed(runs: Sequence[Figures]) -> bool:
    """Return whether other processes took too much of the server's or the generator's core, in the median."""
    shares = [spread(runs, f"{who}_others") for who in ("server", "generator")]
    return any(share is not None and share.median > MAX_DISTURBANCE for share in shares)


@dataclass(frozen=True, slots=True)
class Target:
    """Bound of Crosswire's figure at a work: of its ratio to a peer's, or of the figure itself.

    Attributes:
        work: id of the work.
        bound: the most it may be, or the least if more is better.
        peer: name of the peer that it is compared with; None for an absolute figure.
    """

    work: str
    bound: float
    peer: str | None


TARGETS = [
    Target("fanout-1000", 1.1, "bun"),
    Target("fanout-100", 1.15, "bun"),
    Target("calls-8", 1.0, "bun"),
    Target("calls-1", 1.25, "bun"),
    Target("connects", 0.5, "bun"),
    Target("connects", 1.6, "original"),
    Target("idle", 6000, None),
    Target("nodes-tell", 0.22, "original"),
    Target("nodes-ask", 0.10, "original"),
    Target("nodes-fanout", 0.18, "original"),
]
"""Targets of the project."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Target with what was measured: the ratio, or the figure."""

    target: Target
    title: str
    measured: float
    is_met: bool


def outcomes(results: Iterable[Result], targets: Sequence[Target] = TARGETS) -> list[Outcome]:
    """Compare medians with targets; a target whose figures were not measured has no outcome."""
    found = {(result.work.id, result.peer.name): result for result in results}
    compared = (_outcome(target, found) for target in targets)
    return [outcome for outcome in compared if outcome is not None]


def _outcome(target: Target, found: dict[tuple[str, str], Result]) -> Outcome | None:
    ours = found.get((target.work, "crosswire"))
    if ours is None or (figure := spread(ours.runs, ours.work.figure)) is None:
        return None
    measured = figure.median
    if target.peer is not None:
        theirs = found.get((target.work, target.peer))
        other = spread(theirs.runs, ours.work.figure) if theirs is not None else None
        if other is None:
            return None
        measured /= other.median
    is_met = measured >= target.bound if ours.work.more_is_better else measured <= target.bound
    return Outcome(target, ours.work.title, measured, is_met)
