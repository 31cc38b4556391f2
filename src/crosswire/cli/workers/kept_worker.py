"""A worker that the supervisor keeps running."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import suppress
from typing import NamedTuple

import msgspec

from crosswire.cli.failures import RUNTIME, CommandFailed
from crosswire.cli.workers.link import Assignment, Report, Started, StartRefused
from crosswire.cli.workers.process import WorkerProcess
from crosswire.cli.workers.restarts import RESTART_DELAYS, Restarts
from crosswire.core.backoff import Backoff
from crosswire.runtime.log_records import get_logger

logger = get_logger("crosswire.serve")


class WorkerExit(NamedTuple):
    """End of a worker's process: a text, and the worker's own report of it."""

    text: str
    refusal: StartRefused | None = None


class KeptWorker:
    """A worker that is started, and started again whenever its process ends, until it is stopped.

    Args:
        assignment: configuration of the worker.
        restart_delays: delays before restarts, by number of deaths in a row.

    Attributes:
        listening: set when the worker listens for the first time.
        name: name of its node; "worker 2" until that is known.
        port: port on which it listens; 0 for a Unix socket, and until it is known.
        reloads: whether it loads its certificate again at a SIGHUP.
    """

    def __init__(self, assignment: Assignment, *, restart_delays: Backoff = RESTART_DELAYS) -> None:
        self._assignment = assignment
        self._restarts = Restarts(restart_delays)
        self._process: WorkerProcess | None = None
        self._refusal: StartRefused | None = None
        self._started = False
        self._stopping = asyncio.Event()
        self._signal: signal.Signals | None = None
        self.listening = asyncio.Event()
        self.name = f"worker {assignment.number}"
        self.port = 0
        self.reloads = False

    def use_port(self, port: int) -> None:
        """Set the port, which another worker has got; called before :meth:`run`."""
        self._assignment = msgspec.structs.replace(self._assignment, port=port)

    async def run(self) -> None:
        """Keep the worker running; return after :meth:`stop`.

        Raises:
            CommandFailed: the worker can't be started.
        """
        while not self._stopping.is_set():
            end = await self._run_once()
            if self._stopping.is_set():
                return
            delay = self._restarts.died(time.monotonic(), refused=end.refusal is not None)
            if delay is None:
                raise self._give_up(end)
            logger.warning("%s %s; it is started again in %g s", self.name, end.text, delay)
            await self._wait_before_restart(delay)

    def stop(self, number: signal.Signals) -> None:
        """Send a signal to the worker's process, and do not start it again."""
        self._stopping.set()
        self._signal = number
        if self._process is not None:
            self._signal_process(self._process, number)

    def reload(self) -> None:
        """Let the worker load its certificate again, if it has one from files and listens."""
        if self._process is not None and self._started and self.reloads:
            self._process.signal(signal.SIGHUP)

    def _signal_process(self, process: WorkerProcess, number: signal.Signals) -> None:
        # While Python still imports this package, a SIGINT would cause a traceback; a SIGTERM just ends it.
        process.signal(signal.SIGTERM if number == signal.SIGINT and not self._started else number)

    async def _run_once(self) -> WorkerExit:
        self._refusal = None
        self._started = False
        try:
            self._process = process = await WorkerProcess.start(self._assignment, self._handle_report)
        except OSError as error:
            return WorkerExit(f"can't be started: {error}")
        if self._signal is not None:  # the worker was stopped while its process was started
            self._signal_process(process, self._signal)
        code = await process.ended()
        self._process = None
        if self._refusal is not None:
            return WorkerExit(f"(pid {process.pid}) can't work: {self._refusal.text}", self._refusal)
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return WorkerExit(f"(pid {process.pid}) {how}")

    def _handle_report(self, report: Report) -> None:
        self._started = True
        if isinstance(report, Started):
            return
        if isinstance(report, StartRefused):
            self._refusal = report
            return
        self._restarts.listening(time.monotonic())
        self.name, self.port, self.reloads = report.name, report.port, report.reloads
        self.listening.set()

    async def _wait_before_restart(self, delay: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._stopping.wait()

    def _give_up(self, end: WorkerExit) -> CommandFailed:
        if end.refusal is not None:
            return CommandFailed(end.refusal.text, end.refusal.exit_code)
        return CommandFailed(f"{self.name} {end.text}, as at each start before; it has never listened", RUNTIME)
