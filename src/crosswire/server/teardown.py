"""Ends a connection that is gone: its handlers first, then ``on_disconnect``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from crosswire.runtime.log_records import about
from crosswire.runtime.throttled_warnings import ThrottledWarnings
from crosswire.runtime.timer_wheel import TimerWheel
from crosswire.server.running_handlers import RunningHandlers
from crosswire.server.socket import Socket


class UnfinishedTeardowns(Protocol):
    """The teardowns of a server, and where their warnings go."""

    @property
    def teardowns(self) -> dict[Teardown, None]:
        """Teardowns that have not finished."""
        ...

    @property
    def warnings(self) -> ThrottledWarnings:
        """Log of handlers that have to be cancelled."""
        ...


class Teardown:
    """Waits for the handlers of a connection that is gone, so that ``on_disconnect`` comes after them.

    Handlers still at work after ``linger`` seconds are cancelled; after as long again they are no longer waited for.

    Args:
        socket: of the connection.
        handlers: its handlers.
        wheel: for the timers.
        linger: seconds, twice.
        unfinished: has the teardowns of the server; this teardown is among them until it has finished.
        discard_backlog: discards the messages that no handler has begun with.
        finished: calls ``on_disconnect``; called once.
    """

    __slots__ = (
        "_discard_backlog",
        "_finished",
        "_handlers",
        "_is_cancelled",
        "_linger",
        "_socket",
        "_timer",
        "_unfinished",
        "_wheel",
    )

    def __init__(
        self,
        socket: Socket,
        handlers: RunningHandlers,
        wheel: TimerWheel,
        linger: float,
        unfinished: UnfinishedTeardowns,
        discard_backlog: Callable[[], None],
        finished: Callable[[], None],
    ) -> None:
        self._socket = socket
        self._handlers = handlers
        self._wheel = wheel
        self._linger = linger
        self._unfinished = unfinished
        self._discard_backlog = discard_backlog
        self._finished: Callable[[], None] | None = finished
        self._is_cancelled = False
        self._timer = wheel.start(linger, self._expired)
        unfinished.teardowns[self] = None

    def wait_for_handlers(self) -> None:
        """Finish once no handler is running; every message has been handed to its handlers."""
        if self._handlers.running:
            self._handlers.when_one_ends(self.wait_for_handlers)
        else:
            self.finish()

    def cancel_handlers(self, besides: asyncio.Task[Any] | None = None) -> None:
        """Cancel the handlers at work, but not the task ``besides``, and give them ``linger`` seconds to clean up."""
        self._is_cancelled = True
        self._timer.cancel()
        self._timer = self._wheel.start(self._linger, self.finish)
        self._handlers.cancel(besides)
        self._discard_backlog()

    def finish(self, besides: asyncio.Task[Any] | None = None) -> None:
        """Finish, unless that was done before, or the task ``besides`` is at work for the connection."""
        if self._handlers.is_waiting(besides):
            return
        finished, self._finished = self._finished, None
        if finished is not None:
            self._timer.cancel()
            self._unfinished.teardowns.pop(self, None)
            finished()

    def hurry(self) -> None:
        """Cancel the handlers now, as the server has too many of them."""
        if not self._is_cancelled:
            self._expired()

    def _expired(self) -> None:
        text = "%d handlers of %r were still at work and are cancelled"
        extra = about(self._socket)
        self._unfinished.warnings.warn("lingering handlers", text, self._handlers.running, self._socket, extra=extra)
        self.cancel_handlers()
