"""A comparison: what was measured, by which commands, on which machine; written as JSON and read again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.native import BenchError
from bench.peers.peers import PEERS
from bench.peers.runs import Result
from bench.peers.works import WORKS


@dataclass(slots=True)
class Comparison:
    """Results of the runs of one command, or of several that are shown together.

    Attributes:
        commands: command lines, each with its date.
        machine: what was found out about the machine, and the versions of all that was measured.
        results: results, those of a work behind each other.
        settings: how much is measured, and of which source, so that it can be continued; JSON.
        complete: whether everything was measured that was to be.
    """

    commands: list[tuple[str, str]]
    machine: Mapping[str, str]
    results: list[Result] = field(default_factory=list)
    settings: Mapping[str, Any] = field(default_factory=dict)
    complete: bool = False

    def write(self, file: Path) -> None:
        """Write it as JSON, if it is of one command."""
        ((command, date),) = self.commands
        found = {
            "command": command,
            "date": date,
            "machine": dict(self.machine),
            "settings": dict(self.settings),
            "complete": self.complete,
            "results": [_as_json(result) for result in self.results],
        }
        fresh = file.with_suffix(".new")  # so that an interruption leaves a whole file
        fresh.write_text(json.dumps(found, indent=2) + "\n")
        fresh.rename(file)


def _as_json(result: Result) -> dict[str, Any]:
    return {
        "work": result.work.id,
        "title": result.work.title,
        "unit": result.work.unit,
        "figure": result.work.figure,
        "peer": result.peer.name,
        "runs": result.runs,
        "errors": result.errors,
        "missing": result.missing,
    }


def read(files: Sequence[Path]) -> Comparison:
    """Read comparisons that were written, and join them.

    A work that is in several of them is taken from the last one, with all its peers: what is compared was measured
    in one run. Works come in the order of their table.

    Raises:
        BenchError: a file is of other versions or another machine than the first, or has an unknown work or peer.
    """
    joined: Comparison | None = None
    results: dict[str, list[Result]] = {}
    for file in files:
        found = json.loads(file.read_text())
        read_now: dict[str, list[Result]] = {}
        for each in found["results"]:
            read_now.setdefault(each["work"], []).append(_as_result(each, file))
        results |= read_now
        if joined is None:
            joined = Comparison([], found["machine"])
        _check_same(joined.machine, found["machine"], file)
        joined.commands.append((found["command"], found["date"]))
    if joined is None:
        raise BenchError("there is no file to read")
    joined.results = [result for work in WORKS for result in results.get(work.id, [])]
    return joined


def _as_result(found: Mapping[str, Any], file: Path) -> Result:
    works = [work for work in WORKS if work.id == found["work"]]
    peers = [peer for peer in PEERS if peer.name == found["peer"]]
    if not works or not peers:
        raise BenchError(f"{file} has an unknown work or peer: {found['work']}, {found['peer']}")
    return Result(works[0], peers[0], found["runs"], found["errors"], found["missing"])


def is_same_machine(machine: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Return whether two comparisons are of the same machine and versions."""
    return not _differences(machine, other)


def _differences(machine: Mapping[str, str], other: Mapping[str, str]) -> set[str]:
    return {name for name in {*machine, *other} - {"load"} if machine.get(name) != other.get(name)}


def _check_same(machine: Mapping[str, str], other: Mapping[str, str], file: Path) -> None:
    if names := _differences(machine, other):
        raise BenchError(f"{file} was measured with another {', '.join(sorted(names))} than the first file")
