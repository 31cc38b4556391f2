"""Summaries of runs: medians and spreads, disturbances, and the targets as ratios of medians."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from bench import disturbance
from bench.peers.runs import Result
from bench.peers.targets import CROSSWIRE, TARGETS, Target
from bench.peers.works import PeerWork
from bench.workloads import Figures


class Spread(NamedTuple):
    """Median of the runs, and the smallest and largest of them."""

    median: float
    least: float
    most: float


def spread(runs: Sequence[Figures], figure: str) -> Spread | None:
    """Return the spread of a figure over runs, None if none of them has it."""
    values = [run[figure] for run in runs if figure in run]
    return Spread(median(values), min(values), max(values)) if values else None


def is_disturbed(runs: Sequence[Figures]) -> bool:
    """Return whether other processes had one of the cores for too long, in the median."""
    shares = {name: spread(runs, name) for name in ("server_others", "generator_others")}
    return disturbance.is_disturbed({name: share.median for name, share in shares.items() if share is not None})


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
