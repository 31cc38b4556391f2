"""One of the workers that a supervisor keeps running."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from contextlib import suppress
from typing import NamedTuple

import msgspec

from crosswire.cli.failures import RUNTIME, CommandFailed
from crosswire.cli.workers.link import Assignment, Begun, Report, StartRefused
from crosswire.cli.workers.process import WorkerProcess
from crosswire.cli.workers.restarts import Restarts

logger = logging.getLogger("crosswire.serve")


class Ending(NamedTuple):
    """How one run of a worker ended, in words, and what it said about it itself."""

    text: str
    refusal: StartRefused | None = None


class Slot:
    """The place of one worker: runs it, again whenever it ends, until it is told to stop.

    Args:
        assignment: of the worker.

    Attributes:
        listening: set once it listens for the first time.
        name: of its node; "worker 2" until that is known.
        port: on which it listens; 0 for a Unix socket, and until it is known.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._restarts = Restarts()
        self._process: WorkerProcess | None = None
        self._refusal: StartRefused | None = None
        self._begun = False
        self._stopping = asyncio.Event()
        self._signal: signal.Signals | None = None
        self.listening = asyncio.Event()
        self.name = f"worker {assignment.number}"
        self.port = 0

    def use_port(self, port: int) -> None:
        """Let it listen on the port that another worker has got; before it runs."""
        self._assignment = msgspec.structs.replace(self._assignment, port=port)

    async def run(self) -> None:
        """Keep the worker running; return after :meth:`stop`.

        Raises:
            CommandFailed: it does not even start.
        """
        while not self._stopping.is_set():
            ending = await self._run_once()
            if self._stopping.is_set():
                return
            delay = self._restarts.died(time.monotonic(), refused=ending.refusal is not None)
            if delay is None:
                raise self._given_up(ending)
            logger.warning("%s %s; it is started again in %g s", self.name, ending.text, delay)
            await self._pause(delay)

    def stop(self, number: signal.Signals) -> None:
        """Run no other worker, and send a signal to the one that runs."""
        self._stopping.set()
        self._signal = number
        if self._process is not None:
            self._tell(self._process, number)

    def _tell(self, process: WorkerProcess, number: signal.Signals) -> None:
        # To Python, while it still imports this package, a SIGINT is an error, and a SIGTERM the end.
        process.signal(signal.SIGTERM if number == signal.SIGINT and not self._begun else number)

    async def _run_once(self) -> Ending:
        self._refusal = None
        self._begun = False
        try:
            self._process = process = await WorkerProcess.start(self._assignment, self._told)
        except OSError as error:
            return Ending(f"can't be started: {error}")
        if self._signal is not None:  # it came while the process began
            self._tell(process, self._signal)
        code = await process.ended()
        self._process = None
        if self._refusal is not None:
            return Ending(f"(pid {process.pid}) can't work: {self._refusal.text}", self._refusal)
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return Ending(f"(pid {process.pid}) {how}")

    def _told(self, report: Report) -> None:
        self._begun = True
        if isinstance(report, Begun):
            return
        if isinstance(report, StartRefused):
            self._refusal = report
            return
        self._restarts.listening(time.monotonic())
        self.name, self.port = report.name, report.port
        self.listening.set()

    async def _pause(self, delay: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._stopping.wait()

    def _given_up(self, ending: Ending) -> CommandFailed:
        if ending.refusal is not None:
            return CommandFailed(ending.refusal.text, ending.refusal.exit_code)
        return CommandFailed(f"{self.name} {ending.text}, as each time before; it has never listened", RUNTIME)
