"""Runs of peers at works, in alternation, so that a slow moment of the machine affects all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from bench.native import BenchError, NotInstalled, Serving, run_loadgen
from bench.peers.peers import Peer
from bench.peers.works import PeerWork
from bench.workloads import TIMED_MODES, Figures

SECONDS, QUICK_SECONDS = 0.6, 0.4
"""Seconds that a run measures, after a warm-up of half as long; of some peers it is longer."""
DEADLINE = 300.0
"""Seconds after which a run fails: some need a minute to connect ten thousand clients on a busy machine."""


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


def measure(
    works: Sequence[PeerWork], peers: Sequence[Peer], runs: int, seconds: float, tell: Callable[[str], None]
) -> Iterator[Result]:
    """Run each work on the peers that can do it, and yield a work's results when all its runs are done.

    Args:
        works: works in their order.
        peers: peers in their order.
        runs: runs of each peer at each work.
        seconds: seconds that a run measures, if its mode has a duration.
        tell: is told what is done, a line each.
    """
    for work in works:
        results = [Result(work, peer) for peer in peers if is_measured(work, peer)]
        for turn in range(runs):
            for result in results:
                if result.missing:
                    continue
                tell(f"{work.title}: {result.peer.title}, {turn + 1} of {runs}")
                _add_run(result, seconds, tell)
        yield from results


def is_measured(work: PeerWork, peer: Peer) -> bool:
    """Return whether a peer can do the work, and is among those that are compared at it."""
    return work.needs <= peer.can and (not work.among or peer.name in work.among)


def _add_run(result: Result, seconds: float, tell: Callable[[str], None]) -> None:
    try:
        result.runs.append(run_once(result.work, result.peer, seconds))
    except NotInstalled as error:
        result.missing = str(error)
        tell(f"  left out: {error}")
    except BenchError as error:
        result.errors.append(str(error))
        tell(f"  failed: {error}")


def run_once(work: PeerWork, peer: Peer, seconds: float) -> Figures:
    """Measure one peer once, newly started, so that no run inherits the memory of another."""
    with peer.start(work.setup) as serving:
        reached = Serving(serving.ports[: work.ports], serving.pids)
        options = work.timed(seconds)
        if work.mode in TIMED_MODES:
            options["warmup"] = max(seconds / 2, peer.warmup)
        return run_loadgen(work.mode, reached, dialect=peer.dialect, deadline=DEADLINE, **options)
