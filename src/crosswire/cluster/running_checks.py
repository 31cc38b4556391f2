"""Checks of nodes that run in the background: one for each incarnation at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from crosswire.runtime.background_tasks import BackgroundTasks


class RunningChecks:
    """Runs checks of nodes that say goodbye or want a name.

    Args:
        tasks: where the checks run.
        ended: called when one has ended.
    """

    __slots__ = ("_closed", "_ended", "_incarnations", "_tasks", "_waiting")

    def __init__(self, tasks: BackgroundTasks, ended: Callable[[], object]) -> None:
        self._tasks = tasks
        self._ended = ended
        self._incarnations: set[str] = set()
        self._waiting: list[asyncio.Future[None]] = []
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether no more checks begin."""
        return self._closed

    def __contains__(self, incarnation: object) -> bool:
        return incarnation in self._incarnations

    def close(self) -> None:
        """Begin no more checks of nodes."""
        self._closed = True

    def start(self, incarnation: str, check: Coroutine[Any, Any, None]) -> None:
        """Run a check of a run of a node, unless there is one already."""
        if incarnation in self._incarnations or self._closed:
            check.close()
            return
        self._incarnations.add(incarnation)
        self._tasks.start(self._run(incarnation, check), "crosswire check of a node")

    async def wait_for_end(self) -> None:
        """Wait until one of the checks has ended."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        await waiter

    async def _run(self, incarnation: str, check: Coroutine[Any, Any, None]) -> None:
        try:
            await check
        finally:
            self._incarnations.discard(incarnation)
            self._ended()
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                if not each.done():
                    each.set_result(None)
