"""Runs an example as its user would: as a process of its own, watched through what it prints."""

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

import pytest

ROOT = Path(__file__).resolve().parents[3]
START, END = 30.0, 15.0
"""Seconds that a process may take to print what it is expected to, and to end."""


class Script:
    """A running example. Its output and its errors are kept together."""

    def __init__(self, path: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-u", str(ROOT / path), *arguments],
            cwd=ROOT,
            env={**os.environ, "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """What it printed so far."""
        with self._changed:
            return "".join(self._lines)

    def wait_for(self, pattern: str, timeout: float = START) -> re.Match[str]:
        """Wait until the output matches a regular expression; fail if it does not in time, or if the process ends."""
        deadline = time.monotonic() + timeout
        while True:
            ended = not self._reader.is_alive()
            with self._changed:
                output = "".join(self._lines)
                if (found := re.search(pattern, output, re.MULTILINE)) is not None:
                    return found
                if ended or time.monotonic() > deadline:
                    pytest.fail(f"no {pattern!r} in what it printed:\n{output}")
                self._changed.wait(0.1)

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        code = self._process.wait(END)
        self._reader.join(END)
        return code

    def interrupt(self) -> int:
        """Press Ctrl-C, and return the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self.wait()

    def stop(self) -> None:
        """End it, however it fares."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(END)
        self._reader.join(END)
        assert not self._reader.is_alive(), "a process that it started outlived it"
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()


@contextmanager
def running(path: str, *arguments: str) -> Iterator[Script]:
    """Run an example for as long as the context lasts."""
    script = Script(path, *arguments)
    try:
        yield script
    finally:
        script.stop()
