"""Compares Crosswire with other servers at the same work: `python -m bench.peers`.

With `--write docs/benchmarks.md` it writes the page. A long comparison can be measured in slices (`--only`, `--json`),
which `--from` joins; one that was interrupted goes on with `--continue`. What the peers need is installed by
`python -m bench.peers.install`; `make bench-peers` does both.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bench.__main__ import machine
from bench.native import BenchError, build
from bench.peers import page
from bench.peers.comparison import Comparison, read
from bench.peers.continuing import digest, interrupted
from bench.peers.installed import versions
from bench.peers.peers import PEERS, Peer
from bench.peers.report import as_markdown
from bench.peers.rounds import USUAL_RUNS, USUAL_SECONDS, Runs, Seconds
from bench.peers.runs import measure
from bench.peers.works import WORKS, PeerWork

QUICK_SECONDS = 0.4
INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def main() -> int:
    """Run everything and print the tables; return 1 if any run failed."""
    arguments = _arguments()
    command: str = arguments.called or shlex.join(["python", "-m", "bench.peers", *sys.argv[1:]])
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else the servers that run would stay
    try:
        comparison = read(arguments.read) if arguments.read else _compare(arguments, command)
    except BenchError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        _tell("interrupted" + (": the same command goes on from here" if arguments.go_on else ""))
        return INTERRUPTED
    peers = list({result.peer.name: result.peer for result in comparison.results}.values())
    print(", ".join(f"{name} {value}" for name, value in comparison.machine.items()))
    print(as_markdown(comparison.results, peers))
    if arguments.write:
        page.write(comparison, command, arguments.write)
    failed = [result for result in comparison.results if result.errors]
    for result in failed:
        _tell(f"{result.work.id}: {len(result.errors)} runs of {result.peer.name} failed, {len(result.runs)} did not")
    return int(bool(failed))


def _compare(arguments: argparse.Namespace, command: str) -> Comparison:
    """Measure what the arguments choose."""
    build("loadgen")
    build("epoll_server")
    works = [work for work in WORKS if is_chosen(work, arguments.only)]
    peers = [_peer(name) for name in arguments.peer] or PEERS
    wanted = arguments.seconds or (QUICK_SECONDS if arguments.quick else None)
    seconds = Seconds.equally(wanted) if wanted else USUAL_SECONDS
    runs = Runs.equally(arguments.runs) if arguments.runs else USUAL_RUNS
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    settings = {"command": command, "runs": list(runs), "seconds": list(seconds), "source": digest()}
    comparison = Comparison([(command, date)], {**machine(), **versions()}, settings=settings)
    if arguments.go_on and (earlier := interrupted(arguments.json, comparison, peers)):
        comparison = go_on(earlier, comparison)
    done = {result.work.id for result in comparison.results}
    for result in measure([work for work in works if work.id not in done], peers, runs, seconds, tell=_tell):
        comparison.results.append(result)
        if arguments.json:  # after each, so that a run that is cut short leaves what it has measured
            comparison.write(arguments.json)
    comparison.complete = True
    if arguments.json:
        comparison.write(arguments.json)
    return comparison


def go_on(earlier: Comparison, comparison: Comparison) -> Comparison:
    """Return a comparison with what an interrupted run of it has measured."""
    ((command, began),), ((_, date),) = earlier.commands, comparison.commands
    works = len({result.work.id for result in earlier.results})
    _tell(f"going on with the comparison of {began}, which has {works} works")
    return replace(comparison, commands=[(command, f"{began}, continued {date}")], results=earlier.results)


def is_chosen(work: PeerWork, only: Sequence[str]) -> bool:
    """Return whether one of the texts is the work's id, or is none and in what it is called; or there are no texts."""
    ids = {each.id for each in WORKS}
    return not only or any(
        text == work.id if text in ids else text in f"{work.id} {work.mode} {work.title}" for text in only
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"runs of {QUICK_SECONDS:g} s")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="TEXT",
        help="only the work with this id, or those whose id, mode or title contains it; and others so named",
    )
    parser.add_argument(
        "--peer", action="append", default=[], metavar="NAME", help="only this one, and others so named"
    )
    parser.add_argument(
        "--runs",
        type=int,
        metavar="N",
        help=f"runs of each peer at each work; by default {USUAL_RUNS.usual}, and {USUAL_RUNS.of_target} of those that "
        "a target compares",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help=f"that a run measures; by default {USUAL_SECONDS.usual:g}, and {USUAL_SECONDS.with_target:g} at works "
        "where a target compares some peers",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of all runs there")
    parser.add_argument(
        "--from", dest="read", nargs="+", type=Path, metavar="FILE", help="measure nothing, read what --json wrote"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page, and its plots beside it")
    parser.add_argument(
        "--continue",
        dest="go_on",
        action="store_true",
        help="measure only what is not in the file of --json, if that is of the same comparison, and was interrupted",
    )
    parser.add_argument("--called", metavar="COMMAND", help="the command that the page names, if this is a part of it")
    arguments = parser.parse_args()
    if arguments.go_on and not arguments.json:
        parser.error("--continue wants --json")
    return arguments


def _peer(name: str) -> Peer:
    for peer in PEERS:
        if peer.name == name:
            return peer
    sys.exit(f"There is no peer {name}: there are {', '.join(peer.name for peer in PEERS)}.")


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
