"""Targets of the project: bounds of Crosswire's figures beside those of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CROSSWIRE = "crosswire"
"""Name of the peer that targets are for."""


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


def compared(work: str, targets: Sequence[Target] = TARGETS) -> set[str]:
    """Return the names of the peers whose figures at a work decide on a target, without those of absolute ones."""
    others = {target.peer for target in targets if target.work == work and target.peer is not None}
    return {CROSSWIRE, *others} if others else set()
