"""Running the programs of an example as processes of their own, without leaving any of them behind.

Each has a pipe as its standard input. The pipe is closed when the parent process is done with the program, ends, or is
killed; then the program is interrupted, as by Ctrl-C. The programs need no code for this: they are run by this file.
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

STOP_TIMEOUT = 5.0
"""Seconds that a program has to end after it was interrupted."""


class Program:
    """A running program. Its output is passed on, with its name before each line.

    Attributes:
        name: name of this run of the program.
        pid: id of its process.
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
        """Wait until the program has printed a line that matches a regular expression.

        Raises:
            RuntimeError: it ended before.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._over or self._find(pattern))
        if (found := self._find(pattern)) is None:
            raise RuntimeError(f"{self.name} ended too soon")
        return found

    async def ended(self) -> int:
        """Wait for the end of the program and its output; return its exit code, negative for a signal."""
        return await asyncio.shield(self._run)

    def signal(self, number: int) -> None:
        """Send a signal to the program, unless it has ended."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)

    async def end(self) -> None:
        """Interrupt the program, and wait for its end."""
        assert self._process.stdin is not None, "it was started with a pipe"
        self._process.stdin.close()
        done, _ = await asyncio.wait([self._run], timeout=2 * STOP_TIMEOUT)
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
    """Context in which programs run; at its end they are ended.

    Args:
        folder: folder with the programs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[Program] = []

    async def start(
        self, name: str, file: str, *arguments: str, own_terminal: bool = False, env: Mapping[str, str] | None = None
    ) -> Program:
        """Start a program.

        Args:
            name: name of this run of the program.
            file: file with the program.
            arguments: arguments for its command line.
            own_terminal: let it print to the terminal itself.
            env: variables to add to its environment.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-u", __file__, str(self._folder / file), *arguments),
            stdin=PIPE,
            stdout=None if own_terminal else PIPE,
            stderr=None if own_terminal else STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,  # Ctrl-C is for the parent process, which then ends this one
        )
        program = Program(name, process)
        self._running.append(program)
        return program

    async def first_end(self) -> tuple[Program, int]:
        """Wait until a program ends by itself; return it and its exit code."""
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
    """Run the program in ``file`` in this process, for as long as the standard input is open."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have set it to be ignored
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
    time.sleep(STOP_TIMEOUT)
    os._exit(1)


if __name__ == "__main__":
    run_here(*sys.argv[1:])
