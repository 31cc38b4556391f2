"""Fit the model to small runs, compare it with runs of 2, 4 and 8 nodes, and say what it means for larger clusters.

All servers and their Redis share one core, and the load generator has the other. It takes some minutes, and prints what
`--write docs/scaling.md` writes into that page, between the text of page.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.__main__ import machine
from bench.native import BenchError
from bench.scaling import page
from bench.scaling.beats import measure_beats
from bench.scaling.bus_bytes import measure_bytes, measure_member_bytes, meeting_in
from bench.scaling.calibration import costs_of, measure_idle, measure_redis, with_meetings
from bench.scaling.comparison import compare
from bench.scaling.figures import Figures
from bench.scaling.memory import measure_memory
from bench.scaling.model import Shares
from bench.scaling.redis_loop import version_of
from bench.scaling.report import parts
from bench.scaling.runs import Observed, calibrations, clusters, comparisons, meetings, run_in_turns, under_load
from bench.scaling.under_load import under_load_of
from crosswire.cluster.redis.embedded.database import find_server
from crosswire.errors import ConfigError

SIZES = (2, 4, 8)
"""Nodes of the clusters that the model is compared with."""
SETTLING = 2.0
"""Seconds that clusters have to become quiet after they have started."""
IDLE_TIME, IDLE_TIMES = 2.5, 4
"""Seconds for which clusters are watched in which nothing is said, and how often."""

BYTES_TIME = 0.8
"""Seconds of the runs in which bytes are counted."""


class Effort(NamedTuple):
    """How much is measured.

    Attributes:
        seconds: of each run.
        runs: of each kind.
        beating: nodes that are run in one process.
    """

    seconds: float
    runs: int
    beating: tuple[int, ...]


USUAL, QUICK = Effort(0.4, 10, (100, 200)), Effort(0.2, 2, (50, 100))


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few short runs, and fewer nodes in one process")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page")
    arguments = parser.parse_args()
    figures = measure(QUICK if arguments.quick else USUAL)
    found = parts(figures)
    print("\n\n".join(found.values()))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures.raw(), indent=2) + "\n")
    if arguments.write:
        page.write(arguments.write, found)
    return 0


def measure(effort: Effort) -> Figures:
    """Measure everything."""
    redis = {version_of(program): measure_redis(program, effort.seconds / 2) for program in redis_programs()}
    first, *_ = effort.beating
    beats = [measure_beats(first, 4, often=True), *(measure_beats(count, 4) for count in effort.beating)]
    memory = measure_memory(min(effort.runs, 3))
    calibrating, two_loads, many = calibrations(), meetings(), under_load()
    comparing = [each for nodes in SIZES for each in comparisons(nodes)]
    with clusters((1, *SIZES)) as running:
        time.sleep(SETTLING)
        idle = middle_of([measure_idle(running, IDLE_TIME) for _ in range(IDLE_TIMES)])
        member_bytes = measure_member_bytes(running[2])
        wires = [measure_bytes(running[each.nodes], each, BYTES_TIME) for each in comparing]
        meeting = meeting_in([measure_bytes(running[2], each, BYTES_TIME) for each in two_loads])
        kinds = [calibrating, two_loads, comparing, many]
        observed = run_in_turns(running, [each for kind in kinds for each in kind], effort.runs, effort.seconds, _tell)
    calibrated, met, compared, loaded = _divided(observed, [len(kind) for kind in kinds])
    costs = with_meetings(costs_of(calibrated, idle, member_bytes), met, meeting)
    return Figures(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        machine={name: value for name, value in machine().items() if name != "host"},
        redis=redis,
        costs=costs,
        compared=[compare(costs, each, wire) for each, wire in zip(compared, wires, strict=True)],
        idle={nodes: each for nodes, each in idle.items() if nodes in SIZES},
        under_load=[under_load_of(each) for each in loaded],
        beats=beats,
        memory=memory,
    )


def _divided(observed: Sequence[Observed], sizes: Sequence[int]) -> list[list[Observed]]:
    """Divide a list into parts of these sizes."""
    parts = iter(observed)
    return [list(islice(parts, size)) for size in sizes]


def middle_of(watched: list[dict[int, Shares]]) -> dict[int, Shares]:
    """Return the medians of several times at which nothing was said."""
    return {
        nodes: Shares(
            median(each[nodes].nodes for each in watched),
            median(each[nodes].redis for each in watched),
        )
        for nodes in watched[0]
    }


def redis_programs() -> list[Path]:
    """Find the Redis that servers use in tests, and the Valkey of the extra `embedded`, if they are there.

    Raises:
        BenchError: there is neither.
    """
    installed = shutil.which("redis-server")
    programs = [Path(installed)] if installed else []
    try:
        programs.append(find_server())
    except ConfigError as error:
        print(f"without Valkey: {error}", file=sys.stderr)
    if not programs:
        raise BenchError("there is no redis-server: install one")
    return programs


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
