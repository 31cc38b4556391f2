"""The start and the stop of a server or node: never at the same time, in one event loop, nothing left half done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Any

from crosswire.core.listeners import Hook, Listener
from crosswire.errors import ConfigError, NotConnected, UsageError
from crosswire.runtime.background_tasks import BackgroundTasks, ends_loop, has_begun
from crosswire.runtime.handler_calls import fire_some
from crosswire.runtime.log_records import get_logger

logger = get_logger("crosswire.life")

Step = Callable[[], Coroutine[Any, Any, None]]

HURRIED_STEP_TIMEOUT = 0.1
"""Seconds that a step of a hurried stop has to end by itself, and again when it is cancelled."""
HOOK_CLEANUP_TIMEOUT = 10.0
"""Seconds that a hook has to clean up when it is cancelled."""

_being_stopped: ContextVar[tuple[StartStop, ...]] = ContextVar("stops that the current task is part of", default=())


class StartStop:
    """State of a server or node between its start and its stop.

    A start that is cancelled, or interrupted by a stop, is undone. A stop that is cancelled is hurried, but completed.
    So nothing is left half done. After a second cancellation, a step that has not ended is left behind.

    Args:
        what: "server" or "node", for errors.

    Attributes:
        running: whether it has been started and not stopped.
    """

    __slots__ = ("_loop", "_starting", "_stopping", "_what", "running")

    def __init__(self, what: str) -> None:
        self._what = what
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self.running = False

    @property
    def is_in_another_loop(self) -> bool:
        """Whether it was started in another event loop than the current one."""
        return self._loop is not None and self._loop is not asyncio.get_running_loop()

    async def start(self, begin: Step, end: Step, then: Callable[[], None] | None = None) -> None:
        """Start; if another task is stopping it, after that.

        Args:
            begin: starts it, and undoes that if it fails or is cancelled.
            end: stops it, if the start is cancelled in the moment in which it has succeeded.
            then: called as soon as it runs.

        Raises:
            ConfigError: it runs already.
            UsageError: it belongs to another event loop.
            NotConnected: it was stopped meanwhile.
            Exception: an error of ``begin``.
        """
        self._require_loop("start")
        if self._stopping is not None:
            if self in _being_stopped.get():
                raise UsageError(f"the {self._what} is about to stop: start it after `await {self._what}.stop()`")
            await asyncio.wait({self._stopping})
        if self.running or self._starting is not None:
            state = "runs" if self.running else "is being started"
            raise ConfigError(f"the {self._what} {state} already: stop it first, or create another one")
        self._loop = asyncio.get_running_loop()
        task = asyncio.create_task(self._start(begin, then), name=f"crosswire start of the {self._what}")
        self._starting = task
        task.add_done_callback(self._start_ended)
        try:
            await _wait_through(task)
        except asyncio.CancelledError:
            if self.running and not task.cancelled():  # the caller learns that it does not run
                await self.stop(end)
            raise
        if task.cancelled():
            raise NotConnected(f"the {self._what} was stopped before it had started")
        task.result()

    async def _start(self, begin: Step, then: Callable[[], None] | None) -> None:
        await begin()
        self.running = True
        if then is not None:
            then()

    def _start_ended(self, _task: asyncio.Task[None]) -> None:
        self._starting = None
        if not self.running:
            self._loop = None

    async def stop(self, end: Step) -> None:
        """Stop, or cancel a start. Does nothing if it does not run; waits if another task is stopping it.

        Args:
            end: stops it.

        Raises:
            UsageError: it belongs to another event loop.
            Exception: an error of ``end``, once it has ended.
        """
        if not self.running and self._starting is None and self._stopping is None:
            return
        self._require_loop("stop")
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait({self._starting})
        if self._stopping is not None:
            if self not in _being_stopped.get():  # a stop that is called by its own handlers must not wait for itself
                await asyncio.wait({self._stopping})
            return
        if not self.running:
            return
        self.running = False
        task = asyncio.create_task(self._stop(end), name=f"crosswire stop of the {self._what}")
        self._stopping = task
        task.add_done_callback(self._stop_ended)
        await _wait_through(task)
        task.result()

    async def _stop(self, end: Step) -> None:
        _being_stopped.set((*_being_stopped.get(), self))
        await end()

    def _stop_ended(self, _task: asyncio.Task[None]) -> None:
        self._stopping = self._loop = None

    def _require_loop(self, verb: str) -> None:
        """Check that the current event loop is the one in which it was started."""
        if self._loop is None or self._loop is asyncio.get_running_loop():
            return
        what = self._what
        if self._loop.is_closed():
            raise UsageError(
                f"the event loop in which this {what} was started has ended without `await {what}.stop()`, so it can't "
                f"be used any more: create another one, and let `async with {what}:` stop it"
            )
        raise UsageError(
            f"this {what} was started in another event loop: {verb} it there, with "
            f"`asyncio.run_coroutine_threadsafe({what}.{verb}(), loop)` from another thread"
        )


async def _wait_through(task: asyncio.Task[None]) -> None:
    """Wait until a task has ended; if that is cancelled, cancel the task and wait on."""
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            # The end of an event loop cancels both: that is one cancellation, not two.
            if has_begun(task) and (cancelled or not task.cancelling()):
                task.cancel()
            elif not task.cancelling():
                asyncio.get_running_loop().call_soon(task.cancel)
            cancelled = True
    if cancelled:
        if not task.cancelled() and (error := task.exception()) is not None and not ends_loop(error):
            logger.error("%s failed after it was cancelled", task.get_name(), exc_info=error)
        raise asyncio.CancelledError


async def carry_through(*steps: Step) -> None:
    """Run steps one after the other, all of them, whatever they raise.

    If this is cancelled, cancel the current step and give each of the others only a moment, so that all is done within
    a second. Steps that have not ended then are left behind, and logged.

    Raises:
        CancelledError: this was cancelled; nevertheless all steps were run.
        Exception: the error of the first step that failed; those of others are logged.
    """
    hurried, failures = False, list[BaseException]()
    for step in steps:
        task = asyncio.create_task(step(), name=f"crosswire {_name(step)}")
        if not hurried:
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                hurried = True
                if has_begun(task):
                    task.cancel()
        if hurried and not await _hurry(task):
            continue
        if not task.cancelled() and (error := task.exception()) is not None:
            failures.append(error)
    for error in failures[0 if hurried else 1 :]:
        logger.error("a step of the stop failed", exc_info=error)
    if hurried:
        raise asyncio.CancelledError
    if failures:
        raise failures[0]


def _name(step: Step) -> str:
    function = step.func if isinstance(step, partial) else step
    return str(function.__qualname__)


async def _hurry(task: asyncio.Task[None]) -> bool:
    """Give a step a moment to end, cancel it, and give it another one; return whether it has ended."""
    for _ in range(2):
        with suppress(asyncio.CancelledError):  # it hurries already
            await asyncio.wait({task}, timeout=HURRIED_STEP_TIMEOUT)
        if task.done():
            return True
        task.cancel()
    logger.error("%s does not end although it is cancelled, and is left behind", task.get_name())
    return False


async def run_hook(hook: Hook[[]], tasks: BackgroundTasks) -> None:
    """Call a hook and wait for it; if that is cancelled, cancel the handlers and wait until they have cleaned up.

    Raises:
        Exception: the error of the first handler that failed; those of others are logged.
    """
    await _run(hook.name, hook.take(), tasks)


async def run_each(hook: Hook[[]], tasks: BackgroundTasks) -> None:
    """Call a hook's handlers one after the other, as steps of :func:`carry_through`.

    Raises:
        CancelledError: this was cancelled; nevertheless each handler was called.
        Exception: the error of the first handler that failed; those of others are logged.
    """
    await carry_through(*(partial(_run, hook.name, (listener,), tasks) for listener in hook.take()))


async def _run(hook: str, listeners: tuple[Listener, ...], tasks: BackgroundTasks) -> None:
    failures: list[BaseException] = []
    task = fire_some(hook, listeners, (), tasks, failures.append)
    if task is not None:
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            await _wait_for_cleanup(task, hook)
            _log(hook, failures)
            raise
    _log(hook, failures[1:])
    if failures:
        raise failures[0]


async def _wait_for_cleanup(task: asyncio.Task[None], hook: str) -> None:
    _, left = await asyncio.wait({task}, timeout=HOOK_CLEANUP_TIMEOUT)
    if left:
        logger.error("%s does not end although it is cancelled, and is left behind", hook)


def _log(hook: str, failures: list[BaseException]) -> None:
    for error in failures:
        if not isinstance(error, asyncio.CancelledError):
            logger.error("%s failed", hook, exc_info=error)
