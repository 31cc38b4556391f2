"""The client's life events, and where failures are reported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from crosswire.core.listeners import AnyHook, Hook
from crosswire.core.return_types import Answer
from crosswire.core.signatures import Arguments
from crosswire.errors import NotConnected
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.handler_calls import fire
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings
from crosswire.types import Close, RoomState

HandlerT = TypeVar("HandlerT", bound=Callable[[Any], Answer] | Callable[[], Answer])
"""A handler of the server's events."""

logger = get_logger("crosswire.client")


class Hooks:
    """The hooks of one client.

    Args:
        tasks: where asynchronous handlers run.

    Attributes:
        warnings: logs messages that are lost without an error for anyone.
    """

    def __init__(self, tasks: BackgroundTasks) -> None:
        self._tasks = tasks
        self.on_open: Hook[[]] = Hook("on_open")
        self.on_close: Hook[[Close]] = Hook("on_close", Arguments(close=Close))
        self.on_error: Hook[[Exception]] = Hook("on_error", Arguments(exc=BaseException))
        self.on_message: Hook[[str | bytes]] = Hook("on_message", Arguments(raw=(str, bytes)))
        self.on_ping: Hook[[]] = Hook("on_ping")
        self.on_pong: Hook[[float]] = Hook("on_pong", Arguments(milliseconds=float))
        self.on_pong_timeout: Hook[[]] = Hook("on_pong_timeout")
        self.on_reconnect: Hook[[int, float], [int]] = Hook("on_reconnect", Arguments(attempt=int, delay=float))
        self.on_give_up: Hook[[int]] = Hook("on_give_up", Arguments(limit=int))
        self.on_room: Hook[[RoomState]] = Hook("on_room", Arguments(room=RoomState))
        self.warnings = ThrottledWarnings(logger)

    def fire(self, hook: AnyHook, *arguments: Any) -> asyncio.Task[None] | None:
        """Call a hook's handlers, and report what they raise. Return the task of asynchronous ones, if any."""
        return fire(hook, arguments, self._tasks, self.report)

    def report(self, error: BaseException) -> None:
        """Give a handler's failure to ``on_error``; log it if ``on_error`` has no handler."""
        if isinstance(error, asyncio.CancelledError):
            logger.info("a handler was cancelled before it ended")
        elif self.on_error:
            self._call_on_error(error)
        else:
            logger.error("a handler failed: %r", error, exc_info=error)

    def report_attempt(self, error: NotConnected) -> None:
        """Give a failed attempt to connect to ``on_error``; without a handler, log it without a traceback."""
        if self.on_error:
            self._call_on_error(error)
        else:
            logger.warning("%s", error)

    def _call_on_error(self, error: BaseException) -> None:
        def log(failure: BaseException) -> None:
            logger.error("a handler of on_error failed: %r", failure, exc_info=failure)
            logger.error("a handler of on_error failed, and this was not reported: %r", error, exc_info=error)

        fire(self.on_error, (error,), self._tasks, log)
