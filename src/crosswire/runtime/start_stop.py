"""The way of something from its start to its stop: one at a time, undone where it is broken off, each in one loop."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from types import CoroutineType
from typing import Any, cast

from crosswire.core.listeners import Hook, Listener
from crosswire.errors import ConfigError, NotConnected, UsageError
from crosswire.runtime.background_tasks import BackgroundTasks, ends_loop
from crosswire.runtime.dispatch import fire_some

logger = logging.getLogger("crosswire.life")

Step = Callable[[], Coroutine[Any, Any, None]]

_HASTE = 0.1
"""Seconds that a step gets to end by itself, and then to end when it is cancelled, once a stop is hurried."""
_PATIENCE = 10.0
"""Seconds that a hook has to clean up when it is cancelled."""

_being_stopped: ContextVar[tuple[StartStop, ...]] = ContextVar(
    "what the current task is part of the stop of", default=()
)


class StartStop:
    """Whether something runs, and its way there and back.

    A start that is cancelled, or that a stop meets, is undone; a stop that is cancelled is hurried, and done all the
    same: so nothing is left half. Cancelling either once more leaves behind what still keeps it.

    Args:
        what: it is, in a word, for errors: "server" or "node".

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

    async def start(self, begin: Step, then: Callable[[], None] | None = None) -> None:
        """Begin; where another task is just stopping it, when that has ended.

        Args:
            begin: does it, and undoes it itself where it fails or is cancelled.
            then: called once it runs.

        Raises:
            ConfigError: it runs already.
            UsageError: it belongs to another event loop.
            NotConnected: it was stopped meanwhile.
            Exception: whatever ``begin`` raised.
        """
        self._require_loop("start")
        if self._stopping is not None:
            if self in _being_stopped.get():
                raise UsageError(
                    f"the {self._what} is about to stop: start it when `await {self._what}.stop()` is over"
                )
            await asyncio.wait({self._stopping})
        if self.running or self._starting is not None:
            state = "runs" if self.running else "is being started"
            raise ConfigError(f"the {self._what} {state} already: stop it first, or make another one")
        self._loop = asyncio.get_running_loop()
        task = asyncio.create_task(self._start(begin, then), name=f"crosswire start of the {self._what}")
        self._starting = task
        task.add_done_callback(self._start_ended)
        await _accompany(task)
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
        """End it; while it starts, end that. Does nothing if it does not run; waits where it is being stopped already.

        Args:
            end: does it.

        Raises:
            UsageError: it belongs to another event loop.
            Exception: whatever ``end`` raised, at its end.
        """
        if not self.running and self._starting is None and self._stopping is None:
            return
        self._require_loop("stop")
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait({self._starting})
        if self._stopping is not None:
            if self not in _being_stopped.get():  # else it would wait for itself
                await asyncio.wait({self._stopping})
            return
        if not self.running:
            return
        self.running = False
        task = asyncio.create_task(self._stop(end), name=f"crosswire stop of the {self._what}")
        self._stopping = task
        task.add_done_callback(self._stop_ended)
        await _accompany(task)
        task.result()

    async def _stop(self, end: Step) -> None:
        _being_stopped.set((*_being_stopped.get(), self))
        await end()

    def _stop_ended(self, _task: asyncio.Task[None]) -> None:
        self._stopping = self._loop = None

    def _require_loop(self, verb: str) -> None:
        """Refuse what another event loop than that in which it was started can't do."""
        if self._loop is None or self._loop is asyncio.get_running_loop():
            return
        what = self._what
        if self._loop.is_closed():
            raise UsageError(
                f"the event loop in which this {what} was started has ended without `await {what}.stop()`, so it can't "
                f"be used any more: make another one, and let `async with {what}:` stop it"
            )
        raise UsageError(
            f"this {what} was started in another event loop: {verb} it there, with "
            f"`asyncio.run_coroutine_threadsafe({what}.{verb}(), loop)` from another thread"
        )


async def _accompany(task: asyncio.Task[None]) -> None:
    """Wait until a task has ended; being cancelled, cancel it, and wait on."""
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            # The end of an event loop cancels both: that is one cancellation, not two.
            if _has_begun(task) and (cancelled or not task.cancelling()):
                task.cancel()
            elif not task.cancelling():
                asyncio.get_running_loop().call_soon(task.cancel)
            cancelled = True
    if cancelled:
        if not task.cancelled() and (error := task.exception()) is not None and not ends_loop(error):
            logger.error("%s failed after it was cancelled", task.get_name(), exc_info=error)
        raise asyncio.CancelledError


def _has_begun(task: asyncio.Task[None]) -> bool:
    """Whether it has taken a step: one that is cancelled before does nothing at all."""
    return inspect.getcoroutinestate(cast("CoroutineType[Any, Any, None]", task.get_coro())) != inspect.CORO_CREATED


async def carry_through(*steps: Step) -> None:
    """Take one step after the other, all of them, whatever they raise.

    Being cancelled, cancel the step that is being taken and give each of the others a moment, so that all is done
    within a second. What does not end then is left behind, and logged.

    Raises:
        CancelledError: it was cancelled; all the same everything was done.
        Exception: what the first step that failed raised; what others did is logged.
    """
    hurried, failures = False, list[BaseException]()
    for step in steps:
        task = asyncio.create_task(step(), name=f"crosswire {_name(step)}")
        if not hurried:
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                hurried = True
                if _has_begun(task):
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
    """Give a step a moment, and then one more to be cancelled; tell whether it has ended."""
    for _ in range(2):
        with suppress(asyncio.CancelledError):  # who is asked to hurry, and hurries, can't do more
            await asyncio.wait({task}, timeout=_HASTE)
        if task.done():
            return True
        task.cancel()
    logger.error("%s does not end though it is cancelled, and is left behind", task.get_name())
    return False


async def run_hook(hook: Hook[[]], tasks: BackgroundTasks) -> None:
    """Call a hook and wait for it; being cancelled, cancel it, and wait for that, unless cancelled once more.

    Raises:
        Exception: what the first handler that failed raised; what others did is logged.
    """
    await _run(hook.name, hook.take(), tasks)


async def run_each(hook: Hook[[]], tasks: BackgroundTasks) -> None:
    """Call a hook's handlers one after the other, all of them, as steps that are carried through.

    Raises:
        CancelledError: it was cancelled; all the same each was called.
        Exception: what the first handler that failed raised; what others did is logged.
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
            await _see_off(task, hook)
            _log(hook, failures)
            raise
    _log(hook, failures[1:])
    if failures:
        raise failures[0]


async def _see_off(task: asyncio.Task[None], hook: str) -> None:
    _, left = await asyncio.wait({task}, timeout=_PATIENCE)
    if left:
        logger.error("%s does not end though it is cancelled, and is left behind", hook)


def _log(hook: str, failures: list[BaseException]) -> None:
    for error in failures:
        if not isinstance(error, asyncio.CancelledError):
            logger.error("%s failed", hook, exc_info=error)
