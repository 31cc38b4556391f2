"""Tells the application that connections open and close: one after the other, and none before the former was heard."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from crosswire.client.hooks import Hooks
from crosswire.core.listeners import AnyHook
from crosswire.types import Close

logger = logging.getLogger("crosswire.client")

SLOW = 10.0
"""Seconds after which a hook that others wait for is worth a warning."""
MOST_WAITING = 100
"""Openings and closes that wait for a hook to end; beyond, a connection that came and went meanwhile is not told."""


class _Step(NamedTuple):
    hook: AnyHook
    arguments: tuple[Close, ...]
    then: Callable[[], None]


class OpenCloseHooks:
    """Calls ``on_open`` and ``on_close`` in turn, each when the asynchronous handlers of the former have ended.

    Args:
        hooks: of the client.
    """

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._steps: deque[_Step] = deque()
        self._telling = False
        self._running: asyncio.Task[None] | None = None
        self._then: Callable[[], None] = _nothing
        self._warning: asyncio.TimerHandle | None = None

    def opened(self, then: Callable[[], None]) -> None:
        """A connection has opened; ``then`` is called when the application has heard of it."""
        self._add(_Step(self._hooks.on_open, (), then))

    def closed(self, close: Close) -> None:
        """It has ended."""
        if len(self._steps) >= MOST_WAITING:
            # Its opening waits as well, as the last: then neither is told.
            self._steps.pop().then()
            self._hooks.warnings.warn(
                "life",
                "a connection that opened and closed was not told to on_open and on_close: one of"
                " their handlers has not ended for too long",
            )
            return
        self._add(_Step(self._hooks.on_close, (close,), _nothing))

    @property
    def to_await(self) -> bool:
        """Whether a handler runs that has not ended, other than the one that asks."""
        return self._running is not None and self._running is not asyncio.current_task()

    async def finish_one(self, grace: float) -> None:
        """Wait until the hook that runs has ended; after ``grace`` seconds cancel it."""
        if (task := self._running) is None:
            return
        await asyncio.wait([task], timeout=grace)
        if not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=SLOW)
        if not task.done():
            logger.error("a handler that does not end when it is cancelled is left behind: %s", task.get_name())
            self._running = None
            self._go_on()
        await asyncio.sleep(0)  # its end is noted, and the next begun

    def _add(self, step: _Step) -> None:
        self._steps.append(step)
        if self._running is not None and self._warning is None:
            self._warning = asyncio.get_running_loop().call_later(SLOW, self._warn)
        self._go_on()

    def _go_on(self) -> None:
        while self._steps and self._running is None and not self._telling:
            step = self._steps.popleft()
            self._telling = True
            try:
                task = self._hooks.fire(step.hook, *step.arguments)
            finally:
                self._telling = False
            if task is None or task.done():
                step.then()
            else:
                self._running, self._then = task, step.then
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task is not self._running:  # it was left behind
            return
        if self._warning is not None:
            self._warning.cancel()
            self._warning = None
        self._running = None
        self._then()
        self._go_on()

    def _warn(self) -> None:
        self._warning = None
        if self._running is not None:
            self._hooks.warnings.warn(
                "slow",
                "%s still runs after %g s, and what comes after it waits: start a task of your own"
                " for what takes longer",
                self._running.get_name(),
                SLOW,
            )


def _nothing() -> None:
    """There is nothing to do then."""
