"""The order of the runs of a work: rounds, in each of which every peer has its turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bench.peers.peers import Peer
from bench.peers.targets import compared
from bench.peers.works import PeerWork


class Runs(NamedTuple):
    """How many runs there are of a peer at a work.

    Attributes:
        usual: at works that no target is of.
        with_target: at those that one is of, so that they are more certain.
        of_target: of the peers whose ratio decides on a target.
    """

    usual: int
    with_target: int
    of_target: int

    @classmethod
    def equally(cls, count: int) -> Runs:
        """Return the same number for all."""
        return cls(count, count, count)


USUAL_RUNS = Runs(usual=2, with_target=3, of_target=5)
"""Runs of a whole comparison, which is to end within twenty minutes."""


def rounds_of(work: PeerWork, peers: Sequence[Peer], runs: Runs) -> list[list[Peer]]:
    """Return the rounds of a work: first those of all peers, then those of the peers that a target compares."""
    deciding = compared(work.id)
    if not deciding:
        return [list(peers)] * runs.usual
    few = [peer for peer in peers if peer.name in deciding]
    more = runs.of_target - runs.with_target if len(few) > 1 else 0  # there is no ratio of one peer
    return [list(peers)] * runs.with_target + [few] * more
