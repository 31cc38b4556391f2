"""The order of the runs of a work: rounds, in each of which every peer has its turn; and how long a run is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bench.peers.peers import Peer
from bench.peers.targets import compared
from bench.peers.works import PeerWork


class Runs(NamedTuple):
    """How many runs there are of a peer at a work.

    Attributes:
        usual: of any peer.
        of_target: of the peers whose ratio decides on a target, so that it is more certain.
    """

    usual: int
    of_target: int

    @classmethod
    def equally(cls, count: int) -> Runs:
        """Return the same number for all."""
        return cls(count, count)


class Seconds(NamedTuple):
    """How many seconds a run measures, if its mode has a duration.

    Attributes:
        usual: at works that no target is of.
        with_target: at those where a target compares two peers, so that their ratio is more certain.
    """

    usual: float
    with_target: float

    @classmethod
    def equally(cls, seconds: float) -> Seconds:
        """Return the same for all works."""
        return cls(seconds, seconds)

    def of(self, work: PeerWork) -> float:
        """Return the seconds of a run at a work."""
        return self.with_target if compared(work.id) else self.usual


USUAL_RUNS = Runs(usual=2, of_target=5)
USUAL_SECONDS = Seconds(usual=0.6, with_target=1.0)
"""Runs of a whole comparison, and their seconds: it is to end within twenty minutes."""


def rounds_of(work: PeerWork, peers: Sequence[Peer], runs: Runs) -> list[list[Peer]]:
    """Return the rounds of a work: first those of all peers, then those of the peers that a target compares."""
    deciding = compared(work.id)
    few = [peer for peer in peers if peer.name in deciding]
    more = runs.of_target - runs.usual if len(few) > 1 else 0  # there is no ratio of one peer
    return [list(peers)] * runs.usual + [few] * more
