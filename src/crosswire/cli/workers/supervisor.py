"""Keeps workers running until a signal ends them all."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Sequence

from crosswire.cli.failures import CommandFailed
from crosswire.cli.workers.slot import Slot
from crosswire.runtime.signal_queue import signal_before, signal_queue

logger = logging.getLogger("crosswire.serve")

_PATIENCE = 5.0
"""Seconds that workers have to end beyond their drain; then they are killed."""
_HURRY = 1.0
"""The same after a second signal."""


class Supervisor:
    """The workers of one command.

    The first is started alone: what is wrong with the application is said once, and the others get the port that the
    first one has.

    Args:
        slots: of the workers.
        drain: seconds that they take to end after a SIGTERM.
    """

    def __init__(self, slots: Sequence[Slot], drain: float) -> None:
        self._slots = slots
        self._drain = drain
        self._runs: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Run until SIGTERM, after which the workers drain, or SIGINT, after which they stop at once.

        A second signal hurries.

        Raises:
            CommandFailed: a worker does not even start, or one had to be killed in the end.
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
        """Start all workers, and return only when one of them has failed."""
        first, *others = self._slots
        self._launch(first)
        if not await self._listens(first):
            return
        for slot in others:
            slot.use_port(first.port)
            self._launch(slot)
        for slot in others:
            if not await self._listens(slot):
                return
        where = f"port {first.port}" if first.port else "a Unix socket"
        logger.info("listening on %s: %s", where, ", ".join(slot.name for slot in self._slots))
        await asyncio.wait(self._runs, return_when=asyncio.FIRST_COMPLETED)

    def _launch(self, slot: Slot) -> None:
        self._runs.append(asyncio.create_task(slot.run(), name=f"crosswire {slot.name}"))

    async def _listens(self, slot: Slot) -> bool:
        """Wait until a worker listens; False if any has failed before."""
        listening = asyncio.create_task(_wait(slot.listening))
        try:
            await asyncio.wait([listening, *self._runs], return_when=asyncio.FIRST_COMPLETED)
            return listening.done()
        finally:
            listening.cancel()

    async def _stop(self, number: signal.Signals, caught: asyncio.Queue[signal.Signals]) -> None:
        self._signal(number)
        patience = _PATIENCE + (self._drain if number == signal.SIGTERM else 0)
        if await signal_before(self._ended(patience), caught) is not None:
            self._signal(signal.SIGINT)
            await self._ended(_HURRY)

    async def _kill(self) -> list[str]:
        """Kill the workers that still run; return their names."""
        left = [slot for slot, run in zip(self._slots, self._runs, strict=False) if not run.done()]
        for slot in left:
            slot.stop(signal.SIGKILL)
        await asyncio.wait(self._runs)
        return [slot.name for slot in left]

    async def _ended(self, patience: float) -> None:
        await asyncio.wait(self._runs, timeout=patience)

    def _signal(self, number: signal.Signals) -> None:
        for slot in self._slots:
            slot.stop(number)


async def _wait(event: asyncio.Event) -> None:
    await event.wait()
