"""Runs the lifespan of an ASGI application (the ASGI specification, "Lifespan Protocol")."""

from __future__ import annotations

import asyncio
from typing import Any

from crosswire.errors import ConfigError
from crosswire.runtime.log_records import get_logger
from crosswire.transport.interface import AsgiApplication

logger = get_logger("crosswire.http")

END_TIMEOUT = 1.0
"""Seconds that an application has to return once it has answered the last event, and again once it is cancelled."""

_STARTUP, _SHUTDOWN = "lifespan.startup", "lifespan.shutdown"


class Lifespan:
    """Start and stop of an application, in one task of its own.

    An application that knows no lifespan raises before it has received anything; that is no error.

    Args:
        app: the application.

    Attributes:
        state: what the application keeps for its requests.
    """

    def __init__(self, app: AsgiApplication) -> None:
        self._app = app
        self.state: dict[str, Any] = {}
        self._events: asyncio.Queue[str] = asyncio.Queue()
        self._answer: asyncio.Future[dict[str, Any]] | None = None
        self._has_received = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Wait until the application has started; if this is cancelled, end it.

        Raises:
            ConfigError: the application did not start.
        """
        task = asyncio.create_task(self._run(), name="crosswire lifespan of the application")
        failure = await self._exchange(task, _STARTUP)
        if failure is not None:
            await _end(task, END_TIMEOUT)
            raise ConfigError(f"the application of app= did not start: {failure}")
        if self._has_received or not task.done():
            self._task = task

    async def stop(self) -> None:
        """Wait until the application has shut down; if this is cancelled, end it."""
        task, self._task = self._task, None
        if task is None:
            return
        failure = _failure(task) if task.done() else await self._exchange(task, _SHUTDOWN)
        if failure is not None:
            logger.error("the application of app= did not shut down well: %s", failure)
        await _end(task, END_TIMEOUT)

    async def _exchange(self, task: asyncio.Task[None], event: str) -> str | None:
        """Send an event, and wait for the answer or the end of the task; return the text of a failure, or None."""
        self._events.put_nowait(event)
        self._answer = answer = asyncio.get_running_loop().create_future()
        waiting: set[asyncio.Future[Any]] = {answer, task}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await _end(task, 0)
            raise
        if answer.done():
            message = answer.result()
            return None if message["type"] == f"{event}.complete" else _text(message)
        if not self._has_received:
            logger.debug("the application of app= knows no lifespan: %s", _failure(task))
            return None
        return _failure(task) or "it returned before it had answered"

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        await self._app(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        self._has_received = True
        return {"type": await self._events.get()}

    async def _send(self, message: dict[str, Any]) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(message)


async def _end(task: asyncio.Task[None], timeout: float) -> None:
    """Cancel a task if it does not end by itself within ``timeout`` seconds, and give it time to clean up."""
    if not task.done():
        await asyncio.wait({task}, timeout=timeout)
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=END_TIMEOUT)
    if task.done():
        _failure(task)  # the event loop would log the error of a task that nobody asks for
    else:
        logger.warning("the lifespan of the application does not end, though it is cancelled")


def _failure(task: asyncio.Task[None]) -> str | None:
    """Return the text of the error that has ended a task, or None."""
    if task.cancelled():
        return "its lifespan was cancelled"
    error = task.exception()
    return None if error is None else f"{type(error).__name__}: {error}"


def _text(message: dict[str, Any]) -> str:
    """Return the last line of a failure; frameworks send a traceback, which is logged: a record for each line."""
    text = str(message.get("message", "")).strip()
    if "\n" in text:
        for line in text.splitlines():
            logger.error("the lifespan of the application failed: %s", line)
    return text.rpartition("\n")[2] or "it does not say why"
