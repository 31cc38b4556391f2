"""Measures Crosswire beside a bare C epoll loop and prints a Markdown table: `python -m bench`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.disturbance import MAX_OF_GENERATOR, MAX_OF_SERVER, is_disturbed
from bench.native import (
    BenchError,
    Serving,
    build,
    crosswire_nodes,
    crosswire_server,
    epoll_server,
    run_loadgen,
    starlette_room,
    uvicorn_server,
)
from bench.workloads import (
    ASGI,
    BARE,
    CROSSWIRE,
    EIGHT_NODES,
    KEPT_ROOMS,
    ONE_PORT,
    SIGNED_NODES,
    STARLETTE,
    TWO_NODES,
    UVICORN,
    WITH_COMPRESSION,
    WITH_METRICS,
    WORKLOADS,
    Figures,
    Workload,
)

SERVERS: dict[str, Callable[[], AbstractContextManager[Serving]]] = {
    CROSSWIRE: crosswire_server,
    BARE: epoll_server,
    WITH_METRICS: partial(crosswire_server, "--metrics"),
    WITH_COMPRESSION: partial(crosswire_server, "--compression"),
    TWO_NODES: partial(crosswire_nodes, 2),
    EIGHT_NODES: partial(crosswire_nodes, 8),
    SIGNED_NODES: partial(crosswire_nodes, 2, "--secret"),
    KEPT_ROOMS: partial(crosswire_nodes, 2, "--history"),
    ONE_PORT: partial(crosswire_server, "--app"),
    UVICORN: uvicorn_server,
    ASGI: partial(crosswire_server, "--asgi"),
    STARLETTE: starlette_room,
}
RUNS = 3
"""Runs of each server at each workload."""


@dataclass
class Runs:
    """Results of the runs of one server at one workload."""

    figures: list[Figures] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def cell(self, workload: Workload) -> str:
        """Format the best run, and the number of runs that failed."""
        cells = [f"{len(self.errors)} failed"] if self.errors else []
        if self.figures:
            best = workload.best(self.figures)
            cells.insert(0, workload.show(best) + (" *" if is_disturbed(best) else ""))
        return "; ".join(cells) or "—"


Measured = dict[str, Runs]


def main() -> int:
    """Run everything, print the table; return 1 if any run failed."""
    arguments = _arguments()
    build("loadgen")
    build("epoll_server")
    host = machine()
    seconds = 1.0 if arguments.quick else 3.0
    workloads = [workload for workload in WORKLOADS if arguments.only in f"{workload.mode} {workload.title}"]
    measured = [measure(workload, seconds) for workload in workloads]
    print(report(host, workloads, measured, seconds))
    if arguments.json:
        arguments.json.write_text(json.dumps(raw(host, workloads, measured, seconds), indent=2) + "\n")
    return int(any(runs.errors for each in measured for runs in each.values()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="runs of one second instead of three")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of all runs there")
    parser.add_argument("--only", default="", metavar="TEXT", help="only the workloads whose mode or title contains it")
    return parser.parse_args()


def measure(workload: Workload, seconds: float) -> Measured:
    """Run the servers in alternation, so that a slow moment of the machine affects all of them."""
    measured = {name: Runs() for name in workload.servers}
    for turn in range(RUNS):
        for name, runs in measured.items():
            print(f"{workload.title}: {name}, {turn + 1} of {RUNS}", file=sys.stderr)
            try:
                runs.figures.append(run_once(name, workload, seconds))
            except BenchError as error:
                runs.errors.append(str(error))
                print(f"  failed: {error}", file=sys.stderr)
    return measured


def run_once(name: str, workload: Workload, seconds: float) -> Figures:
    """Measure one server once, newly started, so that no run inherits the memory of another."""
    with SERVERS[name]() as serving:
        reached = serving._replace(ports=serving.ports[: workload.ports])
        return run_loadgen(workload.mode, reached, **workload.timed(seconds))


def machine() -> dict[str, str]:
    """Describe the machine and the versions that are measured."""
    return {
        "host": socket.gethostname(),
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",  # other processes distort the figures
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in ("crosswire", "picows", "uvloop", "msgspec", "uvicorn")},
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def report(host: dict[str, str], workloads: list[Workload], measured: list[Measured], seconds: float) -> str:
    """Format the table in Markdown, with the machine and the method above it."""
    lines = [
        ", ".join(f"{name} {value}" for name, value in host.items()),
        "",
        f"Each figure is the best of {RUNS} runs of {seconds:g} s, the servers in alternation, each newly started;",
        "server on one core, load generator on another. µs: CPU of the server for one delivery, answer, message or",
        "connection; of several nodes, that of all of them and of their Redis, which all share the one core. With one",
        "write a call the generator is the limit of one server: compare the µs. The ratio is Crosswire to the bare",
        "loop; for rooms that keep history it is to rooms that keep none; for 8 nodes it is what a message costs with",
        "8 to what it costs with 2, with as many clients a node;",
        "with an application on the port it is to Crosswire without one, or to uvicorn alone; beside a room of",
        "Starlette (a set of WebSockets, a loop over it, each message encoded once) it is to that.",
        "The original's figures are those of the design notes, measured by their author on another run.",
        f"An asterisk marks a run in which others took more than {MAX_OF_SERVER:.0%} of the server's core, or",
        f"{MAX_OF_GENERATOR:.0%} of the generator's.",
        "",
        "| work | Crosswire (measured) | bare epoll loop (measured in the same run) | ratio "
        "| the original (design notes) | target |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(row(workload, runs) for workload, runs in zip(workloads, measured, strict=True))])


def row(workload: Workload, measured: Measured) -> str:
    """Format one line of the table."""
    ours = [measured[name].cell(workload) for name in workload.servers if name != BARE]
    first, second = [*measured.values(), Runs()][:2]
    cells = [workload.title, ", ".join(ours), measured.get(BARE, Runs()).cell(workload), ratio(workload, first, second)]
    return f"| {' | '.join([*cells, workload.original, workload.target])} |"


def ratio(workload: Workload, ours: Runs, bare: Runs) -> str:
    """Format the ratio of the best runs: of their figures, and of their CPU times."""
    if not ours.figures or not bare.figures:
        return "—"
    a, b = workload.best(ours.figures), workload.best(bare.figures)
    mark = " *" if is_disturbed(a) or is_disturbed(b) else ""
    cpu = f" (CPU {a['cpu_us'] / b['cpu_us']:.2f})" if workload.figure != "cpu_us" else ""
    return f"{a[workload.figure] / b[workload.figure]:.2f}{cpu}{mark}"


def raw(host: dict[str, str], workloads: list[Workload], measured: list[Measured], seconds: float) -> dict[str, object]:
    """Return the figures of all runs, for JSON."""
    return {
        "machine": host,
        "seconds": seconds,
        "works": [
            {
                "work": workload.title,
                "mode": workload.mode,
                "options": workload.options,
                "servers": {name: {"runs": runs.figures, "errors": runs.errors} for name, runs in each.items()},
            }
            for workload, each in zip(workloads, measured, strict=True)
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
