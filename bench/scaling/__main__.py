"""Fit the model to small runs, compare it with runs of 2, 4 and 8 nodes, and say what it means for larger clusters.

All servers and their Redis share one core, and the load generator has the other. It takes some minutes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from bench.__main__ import machine
from bench.native import BenchError
from bench.scaling import report
from bench.scaling.beats import Beats, measure_beats
from bench.scaling.calibration import RedisCosts, calibrate, measure_redis
from bench.scaling.comparison import Compared, compare
from bench.scaling.model import Costs
from bench.scaling.redis_loop import version_of
from crosswire.cluster.redis.embedded.database import find_server
from crosswire.errors import ConfigError

SIZES = (2, 4, 8)
"""Nodes of the clusters that the model is compared with."""
RUNS = 3
"""Runs of each calibration and each comparison; their medians count."""


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


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short run of each, and fewer nodes in one process")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    arguments = parser.parse_args()
    effort = Effort(0.5, 1, (50, 100)) if arguments.quick else Effort(0.8, RUNS, (100, 200))
    programs = redis_programs()
    redis = {version_of(program): measure_redis(program, effort.seconds / 4) for program in programs}
    beats = [measure_beats(effort.beating[0], 4, often=True), *(measure_beats(count, 4) for count in effort.beating)]
    costs = replace(calibrate(effort.seconds, effort.runs), beat=beats[-1].cpu)
    compared = [row for nodes in SIZES for row in compare(costs, nodes, effort.seconds, effort.runs)]
    host = {name: value for name, value in machine().items() if name != "host"}
    print(report.whole(host, redis, costs, compared, beats))
    if arguments.json:
        arguments.json.write_text(json.dumps(raw(host, redis, costs, compared, beats), indent=2) + "\n")
    return 0


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


def raw(
    host: dict[str, str], redis: dict[str, RedisCosts], costs: Costs, compared: list[Compared], beats: list[Beats]
) -> dict[str, object]:
    """Return all figures, for JSON."""
    return {
        "machine": host,
        "redis": {name: each._asdict() for name, each in redis.items()},
        "costs": {name: getattr(costs, name) for name in Costs.__slots__},
        "compared": [each._asdict() for each in compared],
        "beats": [each._asdict() for each in beats],
    }


if __name__ == "__main__":
    sys.exit(main())
