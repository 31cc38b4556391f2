"""Runs of peers at works, in alternation, so that a slow moment of the machine affects all of them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from bench.native import BenchError, NotInstalled, Serving, run_loadgen
from bench.peers.peers import Peer
from bench.peers.progress import OVERHEAD, Progress
from bench.peers.rounds import Runs, Seconds, rounds_of
from bench.peers.works import PeerWork
from bench.workloads import TIMED_MODES, Figures
from crosswire.errors import CrosswireError

MAX_WARMUP = 4.5
"""Seconds of warm-up at most, of peers that need one for each node, as the nodes share a core."""
DEADLINE = 120.0
"""Seconds after which a run fails: some need a minute to connect thousands of clients on a busy machine."""
MAX_FAILURES = 2
"""Failed runs after which a peer is left out of a work."""
FAILURES = (BenchError, CrosswireError, OSError, subprocess.SubprocessError)
"""What a run may fail with: a server, a Redis or a load generator does not start, ends, or does something else."""


@dataclass(slots=True)
class Result:
    """Figures of the runs of one peer at one work, and what went wrong in those that failed.

    Attributes:
        work: work that was done.
        peer: peer that did it.
        runs: figures of the runs that succeeded.
        errors: what went wrong in the others.
        missing: what is not installed, if the peer could not run at all.
    """

    work: PeerWork
    peer: Peer
    runs: list[Figures] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    missing: str = ""

    @property
    def is_left_out(self) -> bool:
        """Whether there are to be no more runs."""
        return bool(self.missing) or len(self.errors) >= MAX_FAILURES


def measure(
    works: Sequence[PeerWork], peers: Sequence[Peer], runs: Runs, seconds: Seconds, tell: Callable[[str], None]
) -> Iterator[Result]:
    """Run each work on the peers that can do it, and yield a work's results when all its runs are done.

    A run that fails is repeated at the end of its work.

    Args:
        works: works in their order.
        peers: peers in their order.
        runs: how many there are of each peer at each work.
        seconds: how long a run measures.
        tell: is told what is done, a line each.
    """
    rounds = {work.id: rounds_of(work, [peer for peer in peers if is_measured(work, peer)], runs) for work in works}
    progress = Progress(
        (work, peer, sum(duration(work, peer, seconds.of(work)).values()) + OVERHEAD)
        for work in works
        for turn in rounds[work.id]
        for peer in turn
    )
    for work in works:
        yield from _Turns(work, rounds[work.id], seconds.of(work), progress, tell).run()


class _Turns:
    """The runs of one work.

    Args:
        work: the work.
        rounds: peers of each round.
        seconds: seconds that a run measures.
        progress: is told of each run.
        tell: is told what is done, a line each.
    """

    def __init__(
        self,
        work: PeerWork,
        rounds: Sequence[Sequence[Peer]],
        seconds: float,
        progress: Progress,
        tell: Callable[[str], None],
    ) -> None:
        self._work, self._rounds, self._seconds = work, rounds, seconds
        self._progress, self._tell = progress, tell
        self._results = {peer.name: Result(work, peer) for peer in (rounds[0] if rounds else [])}

    def run(self) -> list[Result]:
        """Make all runs, then those again that failed, and return what was measured."""
        for number, peers in enumerate(self._rounds, 1):
            for peer in peers:
                self._add_run(self._results[peer.name], f"run {number}")
        for result in self._results.values():
            for _ in list(result.errors):
                self._add_run(result, "again")
        return list(self._results.values())

    def _add_run(self, result: Result, which: str) -> None:
        if result.is_left_out:
            return
        self._tell(f"[{self._progress}] {self._work.title}: {result.peer.title}, {which}")
        began = time.monotonic()
        try:
            result.runs.append(run_once(self._work, result.peer, self._seconds))
        except NotInstalled as error:
            result.missing = str(error)
            self._tell(f"  left out: {error}")
        except FAILURES as error:
            result.errors.append(str(error) or repr(error))
            self._tell(f"  failed: {error}")
        if result.is_left_out:
            self._progress.drop(self._work, result.peer)
        else:
            self._progress.done(self._work, result.peer, time.monotonic() - began)


def is_measured(work: PeerWork, peer: Peer) -> bool:
    """Return whether a peer can do the work, and is among those that are compared at it."""
    return work.needs <= peer.can and (not work.among or peer.name in work.among)


def duration(work: PeerWork, peer: Peer, seconds: float) -> dict[str, float]:
    """Return the seconds that a run measures, and those of its warm-up, half as many or what the peer needs.

    It is nothing if the mode of the work has no duration.
    """
    if work.mode not in TIMED_MODES:
        return {}
    needed = min(peer.warmup * work.setup.nodes, MAX_WARMUP)
    return {"seconds": seconds, "warmup": max(seconds / 2, needed)}


def run_once(work: PeerWork, peer: Peer, seconds: float) -> Figures:
    """Measure one peer once, newly started, so that no run inherits the memory of another."""
    with peer.start(work.setup) as serving:
        reached = Serving(serving.ports[: work.ports], serving.pids)
        options = {**work.options, **duration(work, peer, seconds)}
        return run_loadgen(work.mode, reached, dialect=peer.dialect, deadline=DEADLINE, **options)
