"""Runs the programs of an example as processes of their own, and leaves none of them behind.

Each gets a pipe as its standard input. The pipe closes when whoever started the program is done with it, ends, or is
killed; then the program is interrupted, as by Ctrl-C. The programs know nothing of it: they are run through this file.
"""

from __future__ import annotations

import asyncio
import os
import re
import runpy
import signal
import sys
import threading
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

PATIENCE = 5.0
"""Seconds that a program has to end after it was interrupted."""


class Program:
    """A program that runs; what it prints is passed on with its name before every line.

    Attributes:
        name: of this run of the program.
        pid: of its process.
    """

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._lines: list[str] = []
        self._changed = asyncio.Condition()
        self._over = False
        self._run = asyncio.create_task(self._follow(), name=f"follow {name}")

    async def says(self, pattern: str) -> re.Match[str]:
        """Wait until it has printed a line that matches a regular expression.

        Raises:
            RuntimeError: it ended without.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._over or self._find(pattern))
        if (found := self._find(pattern)) is None:
            raise RuntimeError(f"{self.name} ended too soon")
        return found

    async def ended(self) -> int:
        """Wait for its end and for all that it printed; return its exit code, negative for a signal."""
        return await asyncio.shield(self._run)

    def signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):  # it ends just now
                os.kill(self.pid, number)

    async def end(self) -> None:
        """Interrupt it, and wait for its end."""
        assert self._process.stdin is not None, "it was started with a pipe"
        self._process.stdin.close()
        done, _ = await asyncio.wait([self._run], timeout=2 * PATIENCE)
        if not done:
            self._process.kill()
            await self._run

    async def _follow(self) -> int:
        if self._process.stdout is not None:
            async for line in self._process.stdout:
                await self._printed(line.decode(errors="replace").rstrip())
        code = await self._process.wait()
        async with self._changed:
            self._over = True
            self._changed.notify_all()
        return code

    async def _printed(self, line: str) -> None:
        print(f"{self.name:>10} | {line}", flush=True)
        async with self._changed:
            self._lines.append(line)
            self._changed.notify_all()

    def _find(self, pattern: str) -> re.Match[str] | None:
        return next(filter(None, (re.search(pattern, line) for line in self._lines)), None)


class Programs:
    """Runs programs, and ends those that still run at its own end.

    Args:
        folder: where they are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[Program] = []

    async def start(
        self, name: str, file: str, *arguments: str, own_terminal: bool = False, env: Mapping[str, str] | None = None
    ) -> Program:
        """Start a program.

        Args:
            name: of this run of it.
            file: with the program.
            arguments: for its command line.
            own_terminal: let it print by itself.
            env: what to add to its environment.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-u", __file__, str(self._folder / file), *arguments),
            stdin=PIPE,
            stdout=None if own_terminal else PIPE,
            stderr=None if own_terminal else STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,  # Ctrl-C is for whoever started it, who then ends it
        )
        program = Program(name, process)
        self._running.append(program)
        return program

    async def first_end(self) -> tuple[Program, int]:
        """Wait until one of them ends by itself; return it, and its exit code."""
        ends = {asyncio.create_task(program.ended()): program for program in self._running}
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()
        first = done.pop()
        return ends[first], first.result()

    async def __aenter__(self) -> Programs:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(program.end() for program in self._running))


def run_here(file: str, *arguments: str) -> None:
    """Be the program in ``file``, for as long as the standard input is open."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where a shell made it be ignored
    threading.Thread(target=_interrupt_at_end_of_input, daemon=True).start()
    sys.argv = [file, *arguments]
    sys.path[0] = str(Path(file).parent)
    try:
        runpy.run_path(file, run_name="__main__")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _interrupt_at_end_of_input() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(PATIENCE)
    os._exit(1)


if __name__ == "__main__":
    run_here(*sys.argv[1:])
