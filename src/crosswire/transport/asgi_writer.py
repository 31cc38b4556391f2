"""Sends the messages of one connection through the ``send`` of an ASGI server."""

from __future__ import annotations

import asyncio
import contextvars
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Awaitable, Callable, Coroutine, Generator, MutableMapping
from types import coroutine
from typing import Any

from crosswire.runtime.background_tasks import is_being_cancelled
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

    __slots__ = ("_context", "_failed", "_job", "_loop", "_send", "_task", "_waits_for", "_woken", "outbox")

    def __init__(self, send: Send, failed: Callable[[Exception], None]) -> None:
        self.outbox: MessageOutbox
        self._send = send
        self._failed = failed
        self._loop: asyncio.AbstractEventLoop
        self._context: contextvars.Context
        self._task: asyncio.Task[None]
        self._job: Coroutine[Any, Any, None] | None = None  # the sending that is under way
        self._waits_for: Any = None  # the future that it waits for first
        self._woken = asyncio.Event()  # whether a job has waited for the first time, and can go on

    def start(self) -> None:
        """Start the task, with the present context variables."""
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._task = self._loop.create_task(self._run(), name="crosswire ASGI writer", context=self._context)

    def stop(self) -> None:
        """Cancel the task, with what it is sending."""
        self._task.cancel()
        if self._job is not None and not self._woken.is_set():  # the task does not know of it yet
            if self._waits_for is not None:
                self._waits_for.cancel()
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
            waits_for = self._waits_for = self._context.run(job.send, None)
        except StopIteration:
            self._job = None
            return
        finally:
            _leave_task(self._loop, self._task)
        self.outbox.pause()
        if waits_for is None:  # it just lets others run
            self._loop.call_soon(self._wake)
        else:  # as a task does when its coroutine waits
            waits_for._asyncio_future_blocking = False
            waits_for.add_done_callback(self._wake)

    def _wake(self, _future: object = None) -> None:
        self._woken.set()

    async def _send_waiting(self) -> None:
        take, send = self.outbox.take, self._send
        try:
            while (message := take()) is not None:
                if type(message) is str:
                    await send({"type": "websocket.send", "text": message})
                elif isinstance(message, Close):
                    await send({"type": "websocket.close", "code": int(message.code), "reason": message.reason})
                else:
                    await send({"type": "websocket.send", "bytes": message})
        except Exception as error:  # noqa: BLE001 - an ASGI server may raise anything when the peer is gone
            self._failed(error)
        except asyncio.CancelledError:
            if is_being_cancelled():
                raise
            self._failed(ConnectionError("the send of an ASGI server was cancelled"))

    async def _run(self) -> None:
        """Finish the sendings that had to wait."""
        while True:
            await self._woken.wait()
            job = self._job
            assert job is not None, "it is woken for a job"
            await _finish(job)
            self._job = None
            self._woken.clear()
            self.outbox.resume()


@coroutine
def _finish(job: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    yield from job
