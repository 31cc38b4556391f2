"""How far a comparison is, and how long it will still take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from bench.peers.peers import Peer
from bench.peers.works import PeerWork

OVERHEAD = 1.2
"""Seconds that a run takes beside its warm-up and what it measures, to start and to connect, while none was made."""

Kind = tuple[str, str]
"""Runs of one peer at one work, by their names."""


class Progress:
    """Counts the runs that are done, and estimates what the others will take.

    Those of a kind take what its last run took; others what is planned, stretched as those that were made.

    Args:
        planned: all runs, each with the seconds that it is planned to take.
    """

    def __init__(self, planned: Iterable[tuple[PeerWork, Peer, float]]) -> None:
        runs = list(planned)
        self._planned = {_kind(work, peer): seconds for work, peer, seconds in runs}
        self._left = Counter(_kind(work, peer) for work, peer, _ in runs)
        self._took: dict[Kind, float] = {}
        self._total = len(runs)

    def done(self, work: PeerWork, peer: Peer, took: float) -> None:
        """Take note of a run that has ended; the planned ones stay if it was not among them, but repeated another."""
        kind = _kind(work, peer)
        self._took[kind] = took
        if self._left[kind]:
            self._left[kind] -= 1

    def drop(self, work: PeerWork, peer: Peer) -> None:
        """Take note that there will be no more runs of this kind."""
        self._left[_kind(work, peer)] = 0

    @property
    def seconds_left(self) -> float:
        """What the runs that are left will take."""
        planned = sum(self._planned[kind] for kind in self._took)
        stretched = sum(self._took.values()) / planned if planned else 1.0
        return sum(
            count * self._took.get(kind, self._planned[kind] * stretched) for kind, count in self._left.items() if count
        )

    def __str__(self) -> str:
        left = sum(self._left.values())
        return f"{self._total - left + 1} of {self._total}, {self.seconds_left / 60:.0f} min left"


def _kind(work: PeerWork, peer: Peer) -> Kind:
    return work.id, peer.name
