"""Background tasks: their failures are logged, and none outlives its owner."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Coroutine
from contextvars import Context
from types import CoroutineType
from typing import Any, Protocol

from crosswire.errors import UsageError
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.loop_thread import running_loop
from crosswire.runtime.slow_handlers import SlowHandlerWatch, WatchedCoroutine

logger = get_logger("crosswire.tasks")

CANCEL_TIMEOUT = 10.0
"""Seconds that cancelled tasks have to clean up; then they are left behind."""


class IdleTask(Protocol):
    """A task that is kept for further work."""

    def end(self) -> None:
        """End the task in the next turn of the event loop."""


class BackgroundTasks:
    """Background tasks of one owner.

    A task that fails is logged with its name. To handle the failure itself, the owner catches it in the coroutine.

    Args:
        watch: log of code of the application that takes too long.

    Attributes:
        watch: as given.
        idle: those that are kept for further work; they end when somebody waits for all tasks.
        waited_for: how many wait for all tasks now, so that none is kept.
    """

    __slots__ = ("_end", "_loop", "_running", "idle", "waited_for", "watch")

    def __init__(self, watch: SlowHandlerWatch | None = None) -> None:
        self.watch = watch
        self.idle: list[IdleTask] = []
        self.waited_for = 0
        self._running: dict[asyncio.Task[Any], None] = {}
        self._end = self._ended  # bound once
        self._loop: asyncio.AbstractEventLoop | None = None

    def __len__(self) -> int:
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, Any], name: str, what: str | None = None) -> asyncio.Task[Any]:
        """Run a coroutine in a task; on Python 3.12 or newer its first step runs at once.

        Args:
            work: the coroutine.
            name: name of the task.
            what: name of the hook, for code of the application, whose steps are timed; None for Crosswire's own.
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
        self._running[task] = None
        task.add_done_callback(self._end)
        return task

    def begin(self, work: Coroutine[Any, Any, Any], name: str, context: Context) -> asyncio.Task[Any]:
        """Run a coroutine in a task, at lower cost: it handles its own errors and calls :meth:`end` at its end."""
        loop = self._loop
        if loop is None or not loop.is_running():  # looking it up each time would be a system call on Python 3.11
            loop = self._loop = asyncio.get_running_loop()
        if sys.version_info >= (3, 12):
            task = asyncio.Task(work, loop=loop, name=name, context=context, eager_start=True)
        else:
            task = asyncio.Task(work, loop=loop, name=name, context=context)
        if not task.done():
            self._running[task] = None
        return task

    def end(self, task: asyncio.Task[Any]) -> None:
        """Forget a task that :meth:`begin` started and that ends."""
        self._running.pop(task, None)

    def failed(self, name: str, error: Exception) -> None:
        """Log an error that a task of :meth:`begin` could not handle."""
        logger.error("background task %s failed", name, exc_info=error)

    async def wait(self, timeout: float, besides: asyncio.Task[Any] | None = None) -> bool:
        """Wait up to ``timeout`` seconds for all tasks, even new ones; return whether all have ended.

        The current task is left out, and so is ``besides``, a task that waits for the current one.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        self.waited_for += 1
        try:
            await self._end_idle()
            while others := self._others(besides):
                remaining = deadline - asyncio.get_running_loop().time()
                if remaining <= 0:
                    return False
                await asyncio.wait(others, timeout=remaining)
        finally:
            self.waited_for -= 1
        return True

    async def _end_idle(self) -> None:
        """End the tasks that are kept for further work, and wait until they have ended."""
        if not self.idle:
            return
        for each in self.idle:
            each.end()
        self.idle.clear()
        await asyncio.sleep(0)  # behind their last steps

    async def cancel(self, besides: asyncio.Task[Any] | None = None) -> None:
        """Cancel all tasks, even new ones that they start, and wait until they have ended, but not forever.

        The current task is left out, and so is ``besides``, a task that waits for the current one.
        """
        self.waited_for += 1
        try:
            await self._end_idle()
            await self._cancel_all(besides)
        finally:
            self.waited_for -= 1

    async def _cancel_all(self, besides: asyncio.Task[Any] | None) -> None:
        loop, cancelled = asyncio.get_running_loop(), set[asyncio.Task[Any]]()
        deadline = loop.time() + CANCEL_TIMEOUT
        while others := self._others(besides):
            begun = [task for task in others if has_begun(task)]
            for task in begun:
                if task not in cancelled:  # once each: a second time would interrupt its cleanup
                    task.cancel()
            cancelled.update(begun)
            if (remaining := deadline - loop.time()) <= 0:
                names = ", ".join(sorted(task.get_name() for task in others))
                logger.error("background tasks do not end although they are cancelled, and are left behind: %s", names)
                return
            if len(begun) < len(others):  # cancelled before its first step, a task would not clean up
                await asyncio.sleep(0)
            else:
                await asyncio.wait(others, timeout=remaining, return_when=asyncio.FIRST_COMPLETED)

    def _others(self, besides: asyncio.Task[Any] | None) -> list[asyncio.Task[Any]]:
        left_out = asyncio.current_task(), besides
        return [task for task in self._running if not task.done() and task not in left_out]

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.pop(task, None)
        _report(task)


def has_begun(task: asyncio.Task[Any]) -> bool:
    """Return whether a task has run its first step. A task that is cancelled before runs nothing at all."""
    work = task.get_coro()
    if isinstance(work, WatchedCoroutine):
        work = work.work
    return not isinstance(work, CoroutineType) or inspect.getcoroutinestate(work) != inspect.CORO_CREATED


def is_being_cancelled() -> bool:
    """Return whether the current task is cancelled, rather than something that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def ends_loop(error: BaseException) -> bool:
    """Return whether an error ends the event loop itself; it is raised where the loop is run."""
    return isinstance(error, SystemExit | KeyboardInterrupt)


def _report(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None and not ends_loop(error):
        logger.error("background task %s failed", task.get_name(), exc_info=error)
