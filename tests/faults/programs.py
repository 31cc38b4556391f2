"""Processes of a run, as the test controls them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
WAIT_TIMEOUT = 60.0
"""Seconds that a process has for what is asked of it; many times what it takes on a machine that does nothing else."""

Line = dict[str, Any]


class ProgramError(Exception):
    """A process did not do what it was asked; the text ends with what it wrote to stderr."""


class Program:
    """A process that says something as JSON lines on stdout. Make it with :meth:`start`.

    Attributes:
        said: everything so far.
        killed: whether the test has killed it on purpose.
    """

    def __init__(self, module: str, process: asyncio.subprocess.Process, errors: Path) -> None:
        self.said: list[Line] = []
        self.killed = False
        self._module = module
        self._process = process
        self._errors = errors
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, module: str, options: dict[str, Any], errors: Path) -> Program:
        """Start a module; what it writes to stderr goes to a file."""
        with errors.open("xb") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                json.dumps(options),
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=file,
            )
        return cls(module, process, errors)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        self.killed |= number == signal.SIGKILL
        self._process.send_signal(number)

    def command(self, text: str) -> None:
        """Write a command to the process's standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n".encode())

    async def ask(self, text: str, answer: str, timeout: float = WAIT_TIMEOUT) -> Line:
        """Give it a command, and return what it says next of that kind."""
        before = len(self.all(answer))
        self.command(text)
        await self.until(lambda: len(self.all(answer)) > before, timeout)
        return self.all(answer)[-1]

    def all(self, what: str) -> list[Line]:
        """All that it said of a kind."""
        return [line for line in self.said if line["what"] == what]

    @property
    def warnings(self) -> list[str]:
        """The warnings and errors that it has logged."""
        lines = self._errors.read_text(errors="replace").splitlines()
        return [line for line in lines if " WARNING " in line or " ERROR " in line]

    async def until(self, predicate: Callable[[], object], timeout: float = WAIT_TIMEOUT) -> None:
        """Wait until what it said is enough.

        Raises:
            ProgramError: it ended before, or time is over.
        """
        try:
            async with asyncio.timeout(timeout):
                while not predicate():
                    if self._reader.done():
                        raise self._error("ended")
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise self._error(f"did not do within {timeout:g} s what it should") from None

    async def finish(self) -> None:
        """Close its stdin, and wait until it has ended.

        Raises:
            ProgramError: it does not end, or with an error.
        """
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self.wait_ended()

    async def wait_ended(self) -> None:
        """Wait until it has ended, as it was asked to.

        Raises:
            ProgramError: as :meth:`finish`.
        """
        try:
            code = await asyncio.wait_for(self._process.wait(), WAIT_TIMEOUT)
        except TimeoutError:
            raise self._error("does not end") from None
        if code != 0:
            raise self._error(f"ended with {code}")

    async def kill(self) -> None:
        """End it, however it fares; it may have ended."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reader
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.said.append(json.loads(line))
            self._news.set()
        self._news.set()

    def _error(self, why: str) -> ProgramError:
        return ProgramError(f"{self._module} {why}:\n{self._errors.read_text(errors='replace')[-4000:]}")
