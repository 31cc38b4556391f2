"""The long forms of all faults: ``make faults``.

From the repository's root: ``python -m tests.faults [--short] [--write docs/reliability.md] [SCENARIO ...]``.
Exits with 1 when something did not hold.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from crosswire.cluster.redis.embedded.database import find_server
from crosswire.runtime import loops
from tests.faults.outcome import Outcome
from tests.faults.programs import ROOT
from tests.faults.report import page, table
from tests.faults.run import run
from tests.faults.scenarios import DELIVERIES, LONG, SCENARIOS, SHORT, Scenario


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; return the exit code."""
    options = _parse(arguments)
    machine = _machine()
    outcomes = [outcome for scenario in options.scenarios for outcome in _both(scenario, options.short)]
    print(f"\n{table(outcomes)}")
    if options.write is not None:
        today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        length = SHORT if options.short else LONG
        options.write.write_text(page(outcomes, length, today, machine), encoding="utf-8")
    return 1 if any(outcome.problems for outcome in outcomes) else 0


def _both(scenario: Scenario, short: bool) -> Iterator[Outcome]:
    """Run a scenario with both deliveries, one after the other: the machine is to be busy with one cluster only."""
    length, lasts = (SHORT, scenario.short) if short else (LONG, scenario.long)
    for delivery in DELIVERIES:
        print(f"{scenario.name}, {delivery}: {scenario.title} ...", flush=True)
        with tempfile.TemporaryDirectory(prefix="crosswire-faults-") as directory:
            outcome = loops.run(run(scenario, delivery, length, lasts, Path(directory)))
        for problem in outcome.problems:
            print(f"  FAILED: {problem}", flush=True)
        yield outcome


def _machine() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = subprocess.run([find_server(), "--version"], capture_output=True, text=True, check=True).stdout
    return {
        "Crosswire": project["version"],
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Redis": " ".join(version.split()[:3]),
        "cores, for all processes together": str(os.cpu_count()),
        "load average before, of other work": f"{os.getloadavg()[0]:.1f}",
    }


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    known = {scenario.name: scenario for scenario in SCENARIOS}
    parser.add_argument("names", nargs="*", metavar="SCENARIO", help=f"some of {', '.join(known)}; all by default")
    parser.add_argument("--short", action="store_true", help="the forms of the tests")
    parser.add_argument("--write", type=Path, help="write the page of the results")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"there is no scenario {unknown[0]!r}")
    options.scenarios = [known[name] for name in options.names or known]
    return options


if __name__ == "__main__":
    sys.exit(main())
