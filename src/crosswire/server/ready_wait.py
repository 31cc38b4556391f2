"""Waits until a connection that has its user is ready."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from crosswire.runtime.timer_wheel import TimerWheel


class ReadyWait:
    """Waits until an asynchronous ``on_connect`` has ended and the user can be reached from every server.

    Args:
        on_connect: the task of the hook, or None if it has ended.
        arrival: the task that makes the user reachable, or None if there is nothing to do.
        timeout: seconds. After that, waiting for other servers ends, and ``on_connect`` is cancelled.
        wheel: for the timeout.
        ready: called once when there is nothing to wait for any more.
        timed_out: called before ``ready`` if ``on_connect`` had to be cancelled.
    """

    __slots__ = ("_arrival", "_on_connect", "_ready", "_timed_out", "_timer")

    def __init__(
        self,
        on_connect: asyncio.Task[None] | None,
        arrival: asyncio.Task[None] | None,
        timeout: float,
        wheel: TimerWheel,
        ready: Callable[[], None],
        timed_out: Callable[[], None],
    ) -> None:
        self._on_connect = on_connect
        self._arrival = arrival
        self._ready: Callable[[], None] | None = ready
        self._timed_out = timed_out
        self._timer = wheel.start(timeout, self._expired)
        for task in (on_connect, arrival):
            if task is not None:
                task.add_done_callback(self._check)

    def skip_arrival(self) -> None:
        """Wait for ``on_connect`` only, without a timeout, as the connection is gone and need not be reachable."""
        self._arrival = None
        self._timer.cancel()
        self._check()

    def _check(self, _task: asyncio.Task[None] | None = None) -> None:
        if self._ready is not None and all(task is None or task.done() for task in (self._on_connect, self._arrival)):
            self._timer.cancel()  # it would keep the connection in memory, which may be gone by then
            ready, self._ready = self._ready, None
            ready()

    def _expired(self) -> None:
        if self._on_connect is not None and not self._on_connect.done():
            self._on_connect.cancel()
            self._timed_out()
        self.skip_arrival()
