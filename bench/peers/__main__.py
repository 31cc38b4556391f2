"""Compares Crosswire with other servers at the same work: `python -m bench.peers`.

What the peers need is installed by `python -m bench.peers.install`; `make bench-peers` does both.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench.__main__ import machine
from bench.native import build
from bench.peers.installed import versions
from bench.peers.peers import PEERS, Peer
from bench.peers.report import as_json, as_markdown
from bench.peers.runs import Result, measure
from bench.peers.works import WORKS

RUNS, QUICK_RUNS = 5, 3
SECONDS, QUICK_SECONDS = 3.0, 1.0
"""Seconds that a run measures."""


def main() -> int:
    """Run everything and print the tables; return 1 if any run failed."""
    arguments = _arguments()
    build("loadgen")
    build("epoll_server")
    works = [work for work in WORKS if arguments.only in f"{work.id} {work.mode} {work.title}"]
    peers = [_peer(name) for name in arguments.peer] or PEERS
    seconds = QUICK_SECONDS if arguments.quick else SECONDS
    runs = arguments.runs or (QUICK_RUNS if arguments.quick else RUNS)
    host, date = {**machine(), **versions()}, datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    results: list[Result] = []
    for result in measure(works, peers, runs, seconds, tell=_tell):
        results.append(result)
        if arguments.json:  # after each, so that a run that is cut short leaves what it has measured
            found = as_json(shlex.join(["python", "-m", "bench.peers", *sys.argv[1:]]), date, host, results)
            arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    print(", ".join(f"{name} {value}" for name, value in host.items()))
    print(as_markdown(results, peers))
    return int(any(result.errors for result in results))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RUNS} runs of {QUICK_SECONDS:g} s each")
    parser.add_argument("--only", default="", metavar="TEXT", help="only the works whose id, mode or title contains it")
    parser.add_argument(
        "--peer", action="append", default=[], metavar="NAME", help="only this one, and others so named"
    )
    parser.add_argument("--runs", type=int, metavar="N", help=f"runs of each peer at each work, {RUNS} by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of all runs there")
    return parser.parse_args()


def _peer(name: str) -> Peer:
    for peer in PEERS:
        if peer.name == name:
            return peer
    sys.exit(f"There is no peer {name}: there are {', '.join(peer.name for peer in PEERS)}.")


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
