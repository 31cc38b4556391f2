"""Runs the long scenarios: ``make soak``.

From the repository's root: ``python -m tests.soak [--only NAME ...] [--write docs/soak.md]``. Exits with 1 when
something did not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from tests.faults.circumstances import machine, today
from tests.faults.programs import ROOT
from tests.soak import churn, clock_jump, cycles, floods, netsplit, never_read, rolling_restart, storm
from tests.soak.outcome import Figure, Outcome
from tests.soak.report import lines, page

RESULTS = ROOT / ".soak"
"""Where the outcome of the last run of each scenario is kept, for the page."""
Run = Callable[[], Coroutine[Any, Any, Outcome]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; return the exit code."""
    options = _parse(arguments)
    scenarios = _scenarios(options)
    outcomes = [_run(name, scenarios[name]) for name in options.only or scenarios]
    if options.write is not None:
        last = [outcome for name in scenarios if (outcome := _last(name)) is not None]
        options.write.write_text(page(last, machine()), encoding="utf-8")
    problems = [f"{outcome.name}: {problem}" for outcome in outcomes for problem in outcome.problems]
    print("\n" + ("\n".join(problems) or "everything held"))
    return 1 if problems else 0


def _scenarios(options: argparse.Namespace) -> dict[str, Run]:
    return {
        "floods": floods.run,
        "never-read": never_read.run,
        "clock": clock_jump.run,
        "netsplit": netsplit.run,
        "rolling-restart": rolling_restart.run,
        "storm": storm.run,
        "churn": partial(churn.run, options.churn_seconds),
        "cycles": partial(cycles.run, options.cycles, options.cycle_seconds),
    }


def _run(name: str, run: Run) -> Outcome:
    print(f"{name} ...", flush=True)
    begun, load = time.monotonic(), os.getloadavg()[0]
    try:
        outcome = asyncio.run(run())
    except Exception as error:  # noqa: BLE001 - the others are run all the same, and the page says so
        outcome = Outcome(name, "it broke down")
        outcome.figures.append(Figure("ran to its end", repr(error)[:500].replace("\n", " "), "yes", held=False))
    outcome.seconds, outcome.load = time.monotonic() - begun, load
    outcome.date = today()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_bytes(msgspec.json.encode(outcome))
    print(lines(outcome), flush=True)
    return outcome


def _last(name: str) -> Outcome | None:
    """Return the outcome of the last run of a scenario, or None if there was none."""
    file = RESULTS / f"{name}.json"
    return msgspec.json.decode(file.read_bytes(), type=Outcome) if file.exists() else None


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    names = ("floods", "never-read", "clock", "netsplit", "rolling-restart", "storm", "churn", "cycles")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"some of {', '.join(names)}")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write a page with the last results of all")
    parser.add_argument("--cycles", type=int, default=cycles.CYCLES, help=f"default: {cycles.CYCLES:,}")
    parser.add_argument(
        "--cycle-seconds", type=float, default=cycles.SECONDS, help=f"no more cycles after: {cycles.SECONDS:g}"
    )
    parser.add_argument("--churn-seconds", type=float, default=churn.SECONDS, help=f"of churn: {churn.SECONDS:g}")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
