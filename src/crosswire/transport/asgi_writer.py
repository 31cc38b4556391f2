"""Sends the messages of one connection through the ``send`` of an ASGI server."""

from __future__ import annotations

import asyncio
import contextvars
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Awaitable, Callable, Coroutine, Generator, MutableMapping
from types import coroutine
from typing import Any

from crosswire.runtime.contexts import resume
from crosswire.transport.message_outbox import MessageOutbox
from crosswire.types import Close

Event = MutableMapping[str, Any]
Send = Callable[[Event], Awaitable[None]]
"""The ``send`` of an ASGI connection."""


class AsgiWriter:
    """Writer of one connection: one task, which sleeps as long as the peer reads.

    Sending usually ends without a wait. So the first step of ``send`` runs in the callback at the end of the turn, as a
    step of the writer's task, which is not woken for it. ``send`` sees its task and its context variables as if it had
    been. Only if it has to wait, the task goes on with it.

    Args:
        send: of the ASGI connection.
        failed: called when ``send`` raises.

    Attributes:
        outbox: has the messages; set before :meth:`start`.
    """

    __slots__ = (
        "_context",
        "_failed",
        "_is_handed_over",
        "_job",
        "_loop",
        "_send",
        "_task",
        "_waits_for",
        "_woken",
        "outbox",
    )

    def __init__(self, send: Send, failed: Callable[[Exception], None]) -> None:
        self.outbox: MessageOutbox
        self._send = send
        self._failed = failed
        self._loop: asyncio.AbstractEventLoop
        self._context: contextvars.Context
        self._task: asyncio.Task[None]
        self._job: Coroutine[Any, Any, None] | None = None  # the sending that is under way
        self._waits_for: Any = None
        self._is_handed_over = False  # whether the job has to wait, and is the task's now
        self._woken: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Start the task, with the present context variables."""
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._task = self._loop.create_task(self._run(), name="crosswire ASGI writer", context=self._context)

    def stop(self) -> None:
        """Cancel the task, with what it is sending."""
        self._task.cancel()
        if self._is_handed_over and self._job is not None:  # the task does not know the job yet
            self._job.close()

    def write(self) -> None:
        """Send what waits, up to the first wait of ``send``; the task sends the rest."""
        if self._job is not None:
            return
        current = asyncio.current_task(self._loop)
        if current is not None:
            _leave_task(self._loop, current)
        try:
            self._begin()
        finally:
            if current is not None:
                _enter_task(self._loop, current)

    def _begin(self) -> None:
        job = self._job = self._send_waiting()
        _enter_task(self._loop, self._task)
        try:
            self._waits_for = self._context.run(job.send, None)
        except StopIteration:
            self._job = None
            return
        finally:
            _leave_task(self._loop, self._task)
        self._is_handed_over = True
        self.outbox.pause()
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def _send_waiting(self) -> None:
        take, send = self.outbox.take, self._send
        try:
            while (message := take()) is not None:
                if type(message) is str:
                    await send({"type": "websocket.send", "text": message})
                elif isinstance(message, Close):
                    await send({"type": "websocket.close", "code": message.code, "reason": message.reason})
                else:
                    await send({"type": "websocket.send", "bytes": message})
        except Exception as error:  # noqa: BLE001 - an ASGI server may raise anything when the peer is gone
            self._failed(error)

    async def _run(self) -> None:
        """Finish the sendings that have to wait."""
        while True:
            if not self._is_handed_over:
                self._woken = self._loop.create_future()
                await self._woken
            job, waits_for = self._job, self._waits_for
            assert job is not None, "it is woken for a job"
            self._is_handed_over, self._waits_for, self._woken = False, None, None
            await _finish(job, waits_for)
            self._job = None
            self.outbox.resume()


@coroutine
def _finish(job: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    yield from resume(job, waits_for, None)
