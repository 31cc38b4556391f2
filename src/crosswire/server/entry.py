"""What has to happen before a connection that has its user is let in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from crosswire.runtime.wheel import TimerWheel


class Entry:
    """Waits for an asynchronous ``on_connect`` to end and for the user to be reachable from everywhere.

    Args:
        greeting: the task of ``on_connect``, or None if it has ended.
        announcing: the task that makes the user reachable, or None if there is nothing to do.
        seconds: how long to wait. The other servers are then no longer waited for, and ``on_connect`` is cancelled.
        wheel: for that time.
        ended: told once when there is nothing to wait for any more.
        too_slow: told before that if ``on_connect`` had to be cancelled.
    """

    __slots__ = ("_announcing", "_ended", "_greeting", "_timer", "_too_slow")

    def __init__(
        self,
        greeting: asyncio.Task[None] | None,
        announcing: asyncio.Task[None] | None,
        seconds: float,
        wheel: TimerWheel,
        ended: Callable[[], None],
        too_slow: Callable[[], None],
    ) -> None:
        self._greeting = greeting
        self._announcing = announcing
        self._ended: Callable[[], None] | None = ended
        self._too_slow = too_slow
        self._timer = wheel.start(seconds, self._overdue)
        for task in (greeting, announcing):
            if task is not None:
                task.add_done_callback(self._check)

    def hurry(self) -> None:
        """Wait for ``on_connect`` alone, however long: the connection is gone, and nobody need reach it."""
        self._announcing = None
        self._timer.cancel()
        self._check()

    def _check(self, _task: asyncio.Task[None] | None = None) -> None:
        if self._ended is not None and all(task is None or task.done() for task in (self._greeting, self._announcing)):
            self._timer.cancel()  # it would keep the connection, which may be gone by then
            ended, self._ended = self._ended, None
            ended()

    def _overdue(self) -> None:
        if self._greeting is not None and not self._greeting.done():
            self._greeting.cancel()
            self._too_slow()
        self.hurry()
