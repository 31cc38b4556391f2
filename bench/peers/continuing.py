"""Going on with a comparison that was interrupted, from what it had written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from bench.native import ROOT
from bench.peers.comparison import Comparison, is_same_machine, read
from bench.peers.peers import Peer
from bench.peers.runs import Result, is_measured
from bench.peers.works import WORKS, PeerWork

SOURCES = ("src/**/*.py", "bench/**/*.py", "bench/**/*.js", "bench/*.[ch]", "bench/peers/*.json", "requirements/*.txt")
"""What is measured and what measures: with another source an interrupted comparison is begun anew."""
_NOT_SOURCES = "build"


def digest(root: Path = ROOT) -> str:
    """Return a digest of the source in a checkout."""
    files = sorted({file for pattern in SOURCES for file in root.glob(pattern)})
    found = sha256()
    for file in files:
        name = file.relative_to(root)
        if _NOT_SOURCES not in name.parts:
            found.update(f"{name} {sha256(file.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()


def interrupted(file: Path, wanted: Comparison, peers: Sequence[Peer]) -> Comparison | None:
    """Return what an interrupted run of a comparison has measured, or None if there is nothing to go on with.

    Of a work that was under way nothing is kept: what is compared is measured in one run.

    Args:
        file: what it has written.
        wanted: the comparison that is to be made, without results.
        peers: peers that are compared.
    """
    if not file.exists():
        return None
    found = json.loads(file.read_text())
    is_same = found["settings"] == wanted.settings and is_same_machine(found["machine"], wanted.machine)
    if found["complete"] or not is_same:
        return None
    earlier = read([file])
    earlier.results = [result for work in WORKS for result in _whole(work, earlier.results, peers)]
    return earlier if earlier.results else None


def _whole(work: PeerWork, results: Sequence[Result], peers: Sequence[Peer]) -> list[Result]:
    """Return the results of a work if all peers have done it, none otherwise."""
    of_work = [result for result in results if result.work is work]
    expected = {peer.name for peer in peers if is_measured(work, peer)}
    return of_work if {result.peer.name for result in of_work} == expected else []
