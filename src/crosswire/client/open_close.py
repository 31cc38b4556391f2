"""Calls ``on_open`` and ``on_close`` one after the other, each when the handlers of the hook before have ended."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from crosswire.client.hooks import Hooks
from crosswire.core.listeners import AnyHook
from crosswire.runtime.log_records import get_logger
from crosswire.types import Close

logger = get_logger("crosswire.client")

SLOW_HOOK_TIME = 10.0
"""Seconds after which a hook that holds up others is logged; also the time that a cancelled hook has to end."""
MAX_WAITING = 100
"""Openings and closes that wait for a hook to end; over it, a connection that came and went is left out."""


class _HookCall(NamedTuple):
    """A hook to call, its arguments, and what to do when its handlers have ended."""

    hook: AnyHook
    arguments: tuple[Close, ...]
    then: Callable[[], None]


class OpenCloseHooks:
    """Queue of calls of ``on_open`` and ``on_close``, each made when the handlers of the call before have ended.

    Args:
        hooks: of the client.
    """

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._queue: deque[_HookCall] = deque()
        self._calling = False
        self._running: asyncio.Task[None] | None = None
        self._then: Callable[[], None] = _nothing
        self._warning: asyncio.TimerHandle | None = None

    def opened(self, then: Callable[[], None]) -> None:
        """Call ``on_open`` in its turn, and ``then`` when its handlers have ended."""
        self._add(_HookCall(self._hooks.on_open, (), then))

    def closed(self, close: Close) -> None:
        """Call ``on_close`` in its turn."""
        if len(self._queue) >= MAX_WAITING:
            # The opening of the same connection still waits: leave out both hooks.
            self._queue.pop().then()
            self._hooks.warnings.warn(
                "life",
                "a connection that opened and closed was not told to on_open and on_close: one of"
                " their handlers has not ended for too long",
            )
            return
        self._add(_HookCall(self._hooks.on_close, (close,), _nothing))

    @property
    def has_running_hook(self) -> bool:
        """Whether handlers run that have not ended, other than the calling one."""
        return self._running is not None and self._running is not asyncio.current_task()

    async def finish_hook(self, timeout: float) -> None:
        """Wait until the running hook has ended; cancel it after ``timeout`` seconds."""
        if (task := self._running) is None:
            return
        await asyncio.wait([task], timeout=timeout)
        if not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=SLOW_HOOK_TIME)
        if not task.done() and task is self._running:  # if not, another call has left it behind
            logger.error("a handler that does not end when it is cancelled is left behind: %s", task.get_name())
            self._running = None
            self._call_next()
        await asyncio.sleep(0)  # for its callback, which begins the next

    def _add(self, call: _HookCall) -> None:
        self._queue.append(call)
        if self._running is not None and self._warning is None:
            self._warning = asyncio.get_running_loop().call_later(SLOW_HOOK_TIME, self._warn)
        self._call_next()

    def _call_next(self) -> None:
        while self._queue and self._running is None and not self._calling:
            call = self._queue.popleft()
            self._calling = True
            try:
                task = self._hooks.fire(call.hook, *call.arguments)
            finally:
                self._calling = False
            if task is None or task.done():
                call.then()
            else:
                self._running, self._then = task, call.then
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task is not self._running:  # the hook was left behind
            return
        if self._warning is not None:
            self._warning.cancel()
            self._warning = None
        self._running = None
        self._then()
        self._call_next()

    def _warn(self) -> None:
        self._warning = None
        if self._running is not None:
            self._hooks.warnings.warn(
                "slow",
                "%s still runs after %g s, and what comes after it waits: start a task of your own"
                " for what takes longer",
                self._running.get_name(),
                SLOW_HOOK_TIME,
            )


def _nothing() -> None:
    """Do nothing when handlers have ended."""
