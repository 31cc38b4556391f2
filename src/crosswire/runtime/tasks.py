"""Background tasks that can't die silently and don't outlive their owner."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

from crosswire.errors import UsageError
from crosswire.runtime.loop_thread import running_loop
from crosswire.runtime.slow_handlers import SlowHandlerWatch, WatchedCoroutine

logger = logging.getLogger("crosswire.tasks")

_PATIENCE = 10.0
"""Seconds that cancelled tasks have to clean up."""


class Tasks:
    """The background tasks of one owner.

    A task that fails is logged with its name; an owner that wants to know more catches inside its coroutine.

    Args:
        watch: warns of code of the application that takes too long.

    Attributes:
        watch: as given.
    """

    __slots__ = ("_end", "_loop", "_running", "watch")

    def __init__(self, watch: SlowHandlerWatch | None = None) -> None:
        self.watch = watch
        self._running: set[asyncio.Task[Any]] = set()
        self._end = self._ended  # bound once
        self._loop: asyncio.AbstractEventLoop | None = None

    def __len__(self) -> int:
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, Any], name: str, what: str | None = None) -> asyncio.Task[Any]:
        """Run ``work`` in a task of that name; where Python can (3.12), its first step runs at once.

        Args:
            work: the coroutine.
            name: of the task.
            what: it belongs to, a hook of the application whose steps are watched; None for code of ours.
        """
        if what is not None and self.watch is not None:
            work = WatchedCoroutine(work, what, self.watch)
        try:
            loop = running_loop()
        except UsageError:
            work.close()
            raise
        if sys.version_info >= (3, 12):
            task = asyncio.Task(work, loop=loop, name=name, eager_start=True)
            if task.done():
                _report(task)
                return task
        else:
            task = asyncio.Task(work, loop=loop, name=name)
        self._running.add(task)
        task.add_done_callback(self._end)
        return task

    def begin(self, work: Coroutine[Any, Any, Any], name: str, context: Context) -> asyncio.Task[Any]:
        """As :meth:`start`, for many short ones: the work handles its errors and says :meth:`end`, which is cheaper."""
        loop = self._loop
        if loop is None or not loop.is_running():  # asking for it each time would be a system call on Python 3.11
            loop = self._loop = asyncio.get_running_loop()
        if sys.version_info >= (3, 12):
            task = asyncio.Task(work, loop=loop, name=name, context=context, eager_start=True)
        else:
            task = asyncio.Task(work, loop=loop, name=name, context=context)
        if not task.done():
            self._running.add(task)
        return task

    def end(self, task: asyncio.Task[Any]) -> None:
        """A task ends that was begun here."""
        self._running.discard(task)

    def failed(self, name: str, error: Exception) -> None:
        """Log what such a task could not handle."""
        logger.error("background task %s failed", name, exc_info=error)

    async def wait(self, timeout: float, besides: asyncio.Task[Any] | None = None) -> bool:
        """Wait up to ``timeout`` seconds for all tasks to end, those started meanwhile too; tell whether they did.

        Not for the current one, nor for another that waits for this one and is given as ``besides``.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        while others := self._others(besides):
            remaining = deadline - asyncio.get_running_loop().time()
            if remaining <= 0:
                return False
            await asyncio.wait(others, timeout=remaining)
        return True

    async def cancel(self, besides: asyncio.Task[Any] | None = None) -> None:
        """Cancel all tasks, those they start meanwhile too, and wait until they have ended, but not for ever.

        The current one is left out, as is one that waits for it and is given as ``besides``.
        """
        loop, cancelled = asyncio.get_running_loop(), set[asyncio.Task[Any]]()
        deadline = loop.time() + _PATIENCE
        while others := self._others(besides):
            for task in others - cancelled:  # once each: a second time would break off their cleaning up
                task.cancel()
            cancelled |= others
            if (remaining := deadline - loop.time()) <= 0:
                names = ", ".join(sorted(task.get_name() for task in others))
                logger.error("background tasks that do not end when they are cancelled are left behind: %s", names)
                return
            await asyncio.wait(others, timeout=remaining, return_when=asyncio.FIRST_COMPLETED)

    def _others(self, besides: asyncio.Task[Any] | None) -> set[asyncio.Task[Any]]:
        running = {task for task in self._running if not task.done()}
        return running - {asyncio.current_task(), besides}

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        _report(task)


def is_being_cancelled() -> bool:
    """Whether the current task is cancelled, rather than something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def ends_loop(error: BaseException) -> bool:
    """Whether the event loop itself is ended by what a task raised, and whoever runs it is told."""
    return isinstance(error, SystemExit | KeyboardInterrupt)


def _report(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None and not ends_loop(error):
        logger.error("background task %s failed", task.get_name(), exc_info=error)
