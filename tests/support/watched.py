"""A program in a process of its own, watched through what it prints."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

PATIENCE = 30.0
"""Seconds that a program may take to print what it is expected to, and to end."""


class Watched:
    """A running program. What it and the processes that it starts print is kept together."""

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
        """The program's, not that of a process it started."""
        return self._process.pid

    @property
    def output(self) -> str:
        """What was printed so far."""
        with self._changed:
            return "".join(self._lines)

    def wait_for(self, pattern: str, timeout: float = PATIENCE) -> re.Match[str]:
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
        """Press Ctrl-C, and return the exit code."""
        self.signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        """Wait until the program has ended, and all that it started: they hold the other end of what is read.

        Returns:
            The program's exit code.
        """
        code = self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert not self._reader.is_alive(), f"a process that it started outlived it:\n{self.output}"
        return code

    def stop(self) -> None:
        """End it, however it fares; fail if it leaves a process behind."""
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
