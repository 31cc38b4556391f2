"""The client's life events, and where failures are reported."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from crosswire.core.listeners import Hook
from crosswire.errors import NotConnected
from crosswire.runtime.dispatch import fire
from crosswire.runtime.notices import Notices
from crosswire.runtime.tasks import Tasks
from crosswire.types import Close

logger = logging.getLogger("crosswire.client")


class Hooks:
    """The hooks of one client.

    Args:
        tasks: where asynchronous handlers run.

    Attributes:
        warn: logs what is lost and has nobody who is told: see :meth:`crosswire.runtime.notices.Notices.warn`.
    """

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self.on_open: Hook[[]] = Hook("on_open", 0)
        self.on_close: Hook[[Close]] = Hook("on_close", 1)
        self.on_error: Hook[[BaseException]] = Hook("on_error", 1)
        self.on_message: Hook[[str | bytes]] = Hook("on_message", 1)
        self.on_ping: Hook[[]] = Hook("on_ping", 0)
        self.on_pong: Hook[[float]] = Hook("on_pong", 1)
        self.on_pong_timeout: Hook[[]] = Hook("on_pong_timeout", 0)
        self.on_reconnect: Hook[[int, float]] = Hook("on_reconnect", 2)
        self.on_give_up: Hook[[int]] = Hook("on_give_up", 1)

        self.warn = Notices(logger).warn

    def fire(self, hook: Hook[...], *arguments: Any) -> asyncio.Task[None] | None:
        """Call a hook's handlers; what they raise is reported. Return the task of those that wait, if any."""
        return fire(hook, arguments, self._tasks, self.report)

    def report(self, error: BaseException) -> None:
        """Hand a handler's failure to ``on_error``, or log it if nobody listens."""
        if isinstance(error, asyncio.CancelledError):
            logger.info("a handler was cancelled before it ended")
        elif self.on_error:
            self._tell(error)
        else:
            logger.error("a handler failed: %r", error, exc_info=error)

    def report_attempt(self, error: NotConnected) -> None:
        """Hand a failed attempt to connect to ``on_error``, or log it in one line: it says nothing about the code."""
        if self.on_error:
            self._tell(error)
        else:
            logger.warning("%s", error)

    def _tell(self, error: BaseException) -> None:
        def log(failure: BaseException) -> None:
            logger.error("a handler of on_error failed: %r", failure, exc_info=failure)
            logger.error("a handler of on_error failed, and this was untold: %r", error, exc_info=error)

        fire(self.on_error, (error,), self._tasks, log)
