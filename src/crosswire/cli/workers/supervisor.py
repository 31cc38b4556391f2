"""The supervisor of ``crosswire serve``: keeps workers running until a signal ends them all."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

from crosswire.cli.failures import CommandFailed
from crosswire.cli.workers.kept_worker import KeptWorker
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.signal_queue import signal_before, signal_queue

logger = get_logger("crosswire.serve")

STOP_TIMEOUT = 5.0
"""Seconds, in addition to the drain, after which workers that have not ended are killed."""
HURRIED_STOP_TIMEOUT = 1.0
"""Seconds after a second signal after which workers that have not ended are killed."""


class Supervisor:
    """Supervisor of the workers of one command.

    The first worker is started alone: an error of the application is reported once, and the others get its port.

    Args:
        workers: the workers to keep running.
        drain: seconds that workers take to end after a SIGTERM.
        stop_timeout: seconds, in addition to the drain, after which they are killed.
    """

    def __init__(self, workers: Sequence[KeptWorker], drain: float, *, stop_timeout: float = STOP_TIMEOUT) -> None:
        self._workers = workers
        self._drain = drain
        self._stop_timeout = stop_timeout
        self._runs: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Run until SIGTERM, after which the workers drain, or SIGINT, after which they stop at once.

        A second signal hurries.

        Raises:
            CommandFailed: a worker can't be started, or one had to be killed.
        """
        with signal_queue() as caught:
            number = await signal_before(self._work(), caught)
            await self._stop(signal.SIGINT if number is None else number, caught)
            killed = await self._kill()
        failures = [error for run in self._runs if (error := run.exception()) is not None]
        if failures:
            raise failures[0]
        if killed:
            raise CommandFailed(f"{', '.join(killed)} did not end and had to be killed")

    async def _work(self) -> None:
        """Start all workers; return only when one of them has failed."""
        first, *others = self._workers
        self._launch(first)
        if not await self._listens(first):
            return
        for worker in others:
            worker.use_port(first.port)
            self._launch(worker)
        for worker in others:
            if not await self._listens(worker):
                return
        self._pass_reloads_on()
        where = f"port {first.port}" if first.port else "a Unix socket"
        logger.info("listening on %s: %s", where, ", ".join(worker.name for worker in self._workers))
        await asyncio.wait(self._runs, return_when=asyncio.FIRST_COMPLETED)

    def _launch(self, worker: KeptWorker) -> None:
        self._runs.append(asyncio.create_task(worker.run(), name=f"crosswire {worker.name}"))

    async def _listens(self, worker: KeptWorker) -> bool:
        """Wait until a worker listens; return False if any worker has failed before."""
        listening = asyncio.create_task(_wait(worker.listening))
        try:
            await asyncio.wait([listening, *self._runs], return_when=asyncio.FIRST_COMPLETED)
            return listening.done()
        finally:
            listening.cancel()

    def _pass_reloads_on(self) -> None:
        """Let a SIGHUP load certificates again, where workers have one from files; elsewhere it ends this process."""
        if any(worker.reloads for worker in self._workers):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)

    def _reload(self) -> None:
        for worker in self._workers:
            worker.reload()

    async def _stop(self, number: signal.Signals, caught: asyncio.Queue[signal.Signals]) -> None:
        self._signal(number)
        timeout = self._stop_timeout + (self._drain if number == signal.SIGTERM else 0)
        if await signal_before(self._wait_for_end(timeout), caught) is not None:
            self._signal(signal.SIGINT)
            await self._wait_for_end(HURRIED_STOP_TIMEOUT)

    async def _kill(self) -> list[str]:
        """Kill the workers that still run; return their names."""
        left = [worker for worker, run in zip(self._workers, self._runs, strict=False) if not run.done()]
        for worker in left:
            worker.stop(signal.SIGKILL)
        await asyncio.wait(self._runs)
        return [worker.name for worker in left]

    async def _wait_for_end(self, timeout: float) -> None:
        await asyncio.wait(self._runs, timeout=timeout)

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers:
            worker.stop(number)


async def _wait(event: asyncio.Event) -> None:
    await event.wait()
