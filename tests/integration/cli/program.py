"""Runs the program ``crosswire`` as its user would: in processes of its own, watched through what they print."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent
PATIENCE = 20.0
"""Seconds that anything may take."""

_PROGRAM = [sys.executable, "-m", "crosswire"]


class Result(NamedTuple):
    """What a command that ended said."""

    code: int
    out: str
    err: str


def crosswire(*words: str, stdin: str = "", environment: dict[str, str] | None = None) -> Result:
    """Run a command to its end."""
    done = subprocess.run(
        [*_PROGRAM, *words],
        cwd=HERE,
        env=_environment(environment),
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


class Serving:
    """A running ``crosswire serve`` and its workers. What they all print is kept together."""

    def __init__(self, *words: str, environment: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [*_PROGRAM, "serve", *words],
            cwd=HERE,
            env=_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """What was printed so far."""
        with self._changed:
            return "".join(self._lines)

    @property
    def pid(self) -> int:
        """The supervisor's."""
        return self._process.pid

    @property
    def port(self) -> int:
        """Where the workers listen, once all do."""
        return int(self.wait_for(r"INFO crosswire.serve: listening on port (\d+)")[1])

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until the output matches a regular expression; fail if it does not in time, or if all have ended."""
        deadline = time.monotonic() + PATIENCE
        while True:
            ended = not self._reader.is_alive()
            output = self.output
            if (found := re.search(pattern, output, re.MULTILINE)) is not None:
                return found
            if ended or time.monotonic() > deadline:
                pytest.fail(f"no {pattern!r} in what was printed:\n{output}")
            with self._changed:
                self._changed.wait(0.05)

    def signal(self, number: signal.Signals) -> None:
        """Send the supervisor a signal."""
        self._process.send_signal(number)

    def ended(self) -> int:
        """Wait until the supervisor has ended, and all its workers: they hold the other end of what is read.

        Returns:
            The supervisor's exit code.
        """
        code = self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert not self._reader.is_alive(), f"workers are left:\n{self.output}"
        return code

    def stop(self) -> None:
        """End it, however it fares; fail if it leaves workers behind, or has printed an exception."""
        if self._process.poll() is None:
            self._process.kill()
        try:
            self.ended()
            assert not re.search("Traceback|Exception ignored|never retrieved", self.output), self.output
        finally:
            assert self._process.stdout is not None
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()


@contextmanager
def serving(*words: str, environment: dict[str, str] | None = None) -> Iterator[Serving]:
    """Serve for as long as the context lasts."""
    served = Serving(*words, environment=environment)
    try:
        yield served
    finally:
        served.stop()


def _environment(more: dict[str, str] | None) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "CROSSWIRE_REDIS"}
    return {**inherited, "PYTHONWARNINGS": "error", **(more or {})}
