"""Runs the program ``crosswire`` as a user does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.running_program import RunningProgram

HERE = Path(__file__).parent
WAIT_TIMEOUT = 45.0
"""Seconds that anything may take."""

_PROGRAM = [sys.executable, "-m", "crosswire"]


class Result(NamedTuple):
    """Exit code and output of a command that ended."""

    code: int
    out: str
    err: str


def crosswire(*words: str, stdin: str = "", environment: dict[str, str] | None = None, folder: Path = HERE) -> Result:
    """Run a command to its end."""
    done = subprocess.run(
        [*_PROGRAM, *words],
        cwd=folder,
        env=_environment(environment),
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=WAIT_TIMEOUT,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


@contextmanager
def serving(*words: str, environment: dict[str, str] | None = None, folder: Path = HERE) -> Iterator[RunningProgram]:
    """Serve for as long as the context lasts; fail if a traceback was printed."""
    served = RunningProgram([*_PROGRAM, "serve", *words], cwd=folder, environment=_environment(environment))
    try:
        yield served
    finally:
        served.stop()
        assert not re.search("Traceback|Exception ignored|never retrieved", served.output), served.output


def port_of(served: RunningProgram) -> int:
    """Wait until all workers listen, and return their port."""
    return int(served.wait_for(r"INFO crosswire.serve: listening on port (\d+)")[1])


def _environment(more: dict[str, str] | None) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "CROSSWIRE_REDIS"}
    return {**inherited, "PYTHONWARNINGS": "error", **(more or {})}
