"""Programs in processes of their own, and their output."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

PROGRAM_TIMEOUT = 90.0
"""Seconds in which a program must print what a test waits for, and end."""


class RunningProgram:
    """A running program, with the output of its process and of those that it starts."""

    def __init__(self, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str] | None) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
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
    def pid(self) -> int:
        """The process id of the program itself."""
        return self._process.pid

    @property
    def output(self) -> str:
        """The output up to now."""
        with self._changed:
            return "".join(self._lines)

    def wait_for(self, pattern: str, timeout: float = PROGRAM_TIMEOUT) -> re.Match[str]:
        """Wait until the output matches a regular expression; fail if it does not in time, or if all have ended."""
        deadline = time.monotonic() + timeout
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
        """Send the program a signal."""
        self._process.send_signal(number)

    def interrupt(self) -> int:
        """Send SIGINT, wait until the program has ended, and return its exit code."""
        self.signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        """Wait until the program and all processes that it started have ended: they hold the other end of the pipe.

        Returns:
            The program's exit code.
        """
        code = self._process.wait(PROGRAM_TIMEOUT)
        self._reader.join(PROGRAM_TIMEOUT)
        assert not self._reader.is_alive(), f"a process that it started outlived it:\n{self.output}"
        return code

    def stop(self) -> None:
        """Kill the program if it still runs; fail if it leaves a process behind."""
        if self._process.poll() is None:
            self._process.kill()
        try:
            self.wait()
        finally:
            assert self._process.stdout is not None
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
