"""Summaries of runs: medians and spreads, disturbances, and the targets as ratios of medians."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from bench.peers.runs import Result
from bench.peers.works import PeerWork
from bench.workloads import Figures

CROSSWIRE = "crosswire"
"""Name of the peer that targets are for."""
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
    """Target with what was measured.

    Attributes:
        target: the target.
        work: work that it is of.
        measured: the ratio, or the figure; None if the peer that it is compared with was not measured.
    """

    target: Target
    work: PeerWork
    measured: float | None

    @property
    def verdict(self) -> str:
        """Whether the target is met, in a word or two."""
        if self.measured is None:
            return "not measured"
        is_met = self.measured >= self.target.bound if self.work.more_is_better else self.measured <= self.target.bound
        return "met" if is_met else "missed"


def outcomes(results: Iterable[Result], targets: Sequence[Target] = TARGETS) -> list[Outcome]:
    """Compare medians with the targets of the works that Crosswire was measured at."""
    found = {(result.work.id, result.peer.name): result for result in results}
    ours = [(target, found.get((target.work, CROSSWIRE))) for target in targets]
    return [
        Outcome(target, result.work, _measured(target, result, found.get((target.work, target.peer or ""))))
        for target, result in ours
        if result is not None
    ]


def _measured(target: Target, ours: Result, theirs: Result | None) -> float | None:
    """Return the ratio of the medians, or our median if the target is absolute."""
    figure = spread(ours.runs, ours.work.figure)
    if figure is None or target.peer is None:
        return figure and figure.median
    other = spread(theirs.runs, ours.work.figure) if theirs is not None else None
    return figure.median / other.median if other is not None else None
