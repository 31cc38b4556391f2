"""The long forms of all faults: ``make faults``.

From the repository's root: ``python -m tests.faults [--short] [--write docs/reliability.md] [SCENARIO ...]``.
Exits with 1 when something did not hold. The page has a section of its own for rooms that keep history (``rooms-...``),
made from the last run of each of these; the rest of it is written when others are run.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from crosswire.runtime import loops
from tests.faults.circumstances import machine, today
from tests.faults.history import report as history_report
from tests.faults.history.outcome import RoomOutcome
from tests.faults.history.run import run as run_rooms
from tests.faults.history.scenarios import LONG as LONG_ROOMS
from tests.faults.history.scenarios import SCENARIOS as ROOM_SCENARIOS
from tests.faults.history.scenarios import SHORT as SHORT_ROOMS
from tests.faults.history.scenarios import RoomScenario
from tests.faults.outcome import Outcome
from tests.faults.programs import ROOT
from tests.faults.report import page, table
from tests.faults.run import run
from tests.faults.scenarios import DELIVERIES, LONG, SCENARIOS, SHORT, Scenario

RESULTS = ROOT / ".faults"
"""Where the outcome of the last run of each scenario with history is kept, for the page."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; return the exit code."""
    options = _parse(arguments)
    made_on = {**machine(), "load average before, of other work": f"{os.getloadavg()[0]:.1f}"}
    outcomes = [outcome for scenario in options.scenarios for outcome in _both(scenario, options.short)]
    rooms = [_rooms(scenario, options.short) for scenario in options.rooms]
    print(f"\n{table(outcomes)}\n\n{history_report.table(rooms)}")
    if options.write is not None:
        _write(options.write, outcomes, made_on, short=options.short)
    problems = [problem for outcome in outcomes for problem in outcome.problems]
    return 1 if problems or any(outcome.problems for outcome in rooms) else 0


def _write(file: Path, outcomes: list[Outcome], made_on: dict[str, str], *, short: bool) -> None:
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    if outcomes:
        text = page(outcomes, SHORT if short else LONG, today(), made_on)
    last = [RESULTS / f"{scenario.name}.json" for scenario in ROOM_SCENARIOS]
    rooms = [msgspec.json.decode(each.read_bytes(), type=RoomOutcome) for each in last if each.exists()]
    file.write_text(history_report.put_section(text, rooms) if rooms else text, encoding="utf-8")


def _rooms(scenario: RoomScenario, short: bool) -> RoomOutcome:
    """Run a scenario with rooms that keep history, and keep the outcome for the page."""
    print(f"{scenario.name}: {scenario.title} ...", flush=True)
    with tempfile.TemporaryDirectory(prefix="crosswire-faults-") as directory:
        outcome = loops.run(run_rooms(scenario, SHORT_ROOMS if short else LONG_ROOMS, Path(directory)))
    for problem in outcome.problems:
        print(f"  FAILED: {problem}", flush=True)
    if not short:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{scenario.name}.json").write_bytes(msgspec.json.encode(outcome))
    return outcome


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


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    known = {scenario.name: scenario for scenario in SCENARIOS}
    rooms = {scenario.name: scenario for scenario in ROOM_SCENARIOS}
    parser.add_argument(
        "names", nargs="*", metavar="SCENARIO", help=f"some of {', '.join([*known, *rooms])}; all by default"
    )
    parser.add_argument("--short", action="store_true", help="the forms of the tests")
    parser.add_argument("--write", type=Path, help="write the page of the results")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in known | rooms]:
        parser.error(f"there is no scenario {unknown[0]!r}")
    chosen = options.names or [*known, *rooms]
    options.scenarios = [known[name] for name in chosen if name in known]
    options.rooms = [rooms[name] for name in chosen if name in rooms]
    return options


if __name__ == "__main__":
    sys.exit(main())
