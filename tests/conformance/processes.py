"""Child processes of a run, read line by line until a deadline."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

STOP_TIMEOUT = 10
"""Seconds that a process has to end after SIGTERM."""


class RunError(Exception):
    """A process of the run did not do its part."""


class Child:
    """A process whose output is read line by line and kept in a file; made by :func:`running`."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        assert process.stdout is not None
        threading.Thread(target=self._read, args=(process.stdout,), daemon=True).start()

    @property
    def tail(self) -> str:
        """The end of its output."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-3000:]

    @property
    def code(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll()

    def lines(self, deadline: float) -> Iterator[str]:
        """Yield lines until the output ends, or until the deadline, in monotonic time."""
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return
            if line is None:
                return
            yield line

    def wait(self, name: str, deadline: float, on_line: Callable[[str], None] = lambda line: None) -> None:
        """Wait for its end.

        Raises:
            RunError: it was not done in time, or ended with another code than 0.
        """
        for line in self.lines(deadline):
            on_line(line)
        try:
            code = self._process.wait(timeout=max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise RunError(f"{name} was not done in time; it said:\n{self.tail}") from None
        if code != 0:
            raise RunError(f"{name} ended with {code}:\n{self.tail}")

    def _read(self, stream: IO[str]) -> None:
        with self._log.open("w", encoding="utf-8") as log:
            for line in stream:
                log.write(line)
                log.flush()
                self._lines.put(line)
        self._lines.put(None)


@contextmanager
def running(
    command: Sequence[str], log: Path, *, cwd: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Child]:
    """Run a command while the context lasts; its output goes into a file too."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    try:
        yield Child(process, log)
    finally:
        process.terminate()
        try:
            process.wait(timeout=STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
