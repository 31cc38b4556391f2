"""A WebSocket connection of an ASGI server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from crosswire.core.formats import Offer
from crosswire.runtime import environment
from crosswire.runtime.log_records import get_logger
from crosswire.transport.asgi_sender import MessageSender, Sender
from crosswire.transport.asgi_writer import Send
from crosswire.transport.interface import Receiver, TrafficSnapshot
from crosswire.transport.listener_context import ListenerContext
from crosswire.transport.message_outbox import message_size
from crosswire.transport.read_rate import ReadRate
from crosswire.transport.read_turns import QUANTUM
from crosswire.transport.uvicorn_reader import UvicornReader
from crosswire.transport.uvicorn_sender import UvicornSender, client_has_left, drop_if_unread, uvicorn_protocol
from crosswire.types import Close, CloseCode

logger = get_logger("crosswire.transport")

BATCH = 32
"""Messages that are received at most until others have a turn: an ASGI server that has many hands them over at once."""

P = ParamSpec("P")
T = TypeVar("T", str, bytes)

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
"""The ``receive`` of an ASGI connection."""


class AsgiConnection:
    """The connection of an ASGI scope that was accepted; see ``Connection`` in interface.py.

    :meth:`run` is the reader, in the task of the ASGI call. Nothing is received while reading is paused, so that the
    ASGI server holds the client back.

    Args:
        receiver: gets what arrives.
        receive: of the ASGI connection.
        send: of the ASGI connection.
        context: limits and flusher.

    Attributes:
        framed: whether ``outbox`` takes frames, as where uvicorn is below.
        outbox: queues frames or messages.
    """

    can_ping = False

    __slots__ = (
        "_close",
        "_context",
        "_is_held_back",
        "_is_receiving",
        "_is_stopped",
        "_protocol",
        "_reading",
        "_receive",
        "_receiver",
        "_resumed",
        "_sender",
        "_task",
        "_timer",
        "framed",
        "outbox",
    )

    def __init__(self, receiver: Receiver, receive: Receive, send: Send, context: ListenerContext) -> None:
        self._receiver = receiver
        self._receive = receive
        self._context = context
        self._protocol = protocol = uvicorn_protocol(send)  # of uvicorn, if that is below
        self._sender: Sender
        if protocol is None or context.compress:
            self._sender = MessageSender(send, context, self._send_failed, self)
        else:
            self._sender = UvicornSender(protocol, send, context, self._send_failed, self)
        self.framed = self._sender.framed
        self.outbox = self._sender.outbox
        self._task: asyncio.Task[Any]
        self._close: Close | None = None  # set when the end begins
        self._timer: asyncio.TimerHandle | None = None
        self._reading = True
        self._resumed: asyncio.Future[None] | None = None
        self._is_receiving = False
        self._is_held_back = False
        self._is_stopped = False

    async def run(self) -> None:
        """Receive until the connection is closed or lost, and tell the receiver.

        If this is cancelled, the connection is lost.
        """
        task = asyncio.current_task()
        assert task is not None, "an ASGI server calls an application in a task"
        self._task, cancelled_before = task, task.cancelling()
        self._sender.start()
        if self._protocol is not None:
            self._protocol.transport.set_protocol(UvicornReader(self._protocol))
        try:
            self._guard(self._receiver.opened, self)
            await self._read()
        except asyncio.CancelledError:
            # As in asyncio.timeout: the cancellation is our own, unless somebody else cancels the task too.
            if not self._is_stopped or task.uncancel() > cancelled_before:
                raise
        finally:
            self._end()

    # Connection

    def ping(self, payload: bytes) -> None:
        raise AssertionError("an ASGI server sends its pings itself")

    def close(self, code: int, reason: str = "") -> None:
        if self._close is None:
            self._close = Close(code, reason)
            self._sender.close(self._close)
            self._stop_later()
            self.resume_reading()

    def abort(self, close: Close) -> None:
        self._close = self._close or close
        self.outbox.discard()
        self._stop()

    @property
    def offer(self) -> Offer:
        return self.outbox.offer

    @property
    def behind(self) -> bool:
        return self.outbox.behind

    def pause_reading(self) -> None:
        if self._close is None:
            self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._wake_reader()

    def peer_has_left(self, *, half: bool) -> bool:
        return self._protocol is not None and client_has_left(self._protocol, half=half)

    @property
    def buffered(self) -> int:
        return self.outbox.buffered

    async def drained(self, below: int) -> bool:
        return await self.outbox.drained(below)

    @property
    def traffic(self) -> TrafficSnapshot:
        return TrafficSnapshot(0, 0, is_held_back=self._is_held_back)

    # OutboxEvents

    def overflowed(self) -> None:
        self.abort(self._context.overflow_close())

    def fell_behind(self) -> None:
        self.abort(self._context.slow_reader_close())

    # Receiving

    async def _read(self) -> None:
        rate = ReadRate.of(self._context.limits, self._receiver.held_back)
        count, seconds = 0, 0.0  # since others had a turn
        while not self._is_stopped:
            if not self._reading:
                await self._until_resumed()
                continue
            self._is_receiving = True
            try:
                event = await self._receive()
            finally:
                self._is_receiving = False
            if not self._reading:
                await self._until_resumed()
            began = environment.perf_counter()
            if not self._take(event):
                return
            count += 1
            seconds += environment.perf_counter() - began
            if rate is not None and self._close is None and (delay := rate.admit_message(_size_of(event))):
                await self._sleep(delay)
            elif count >= BATCH or seconds >= QUANTUM:
                count, seconds = 0, 0.0
                await self._sleep(0)

    async def _sleep(self, seconds: float) -> None:
        """Receive nothing for a while: the ASGI server then holds the client back."""
        self._is_receiving, self._is_held_back = True, seconds > 0
        try:
            await asyncio.sleep(seconds)
        finally:
            self._is_receiving = self._is_held_back = False

    async def _until_resumed(self) -> None:
        while not (self._reading or self._is_stopped):
            self._resumed = asyncio.get_running_loop().create_future()
            await self._resumed

    def _wake_reader(self) -> None:
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)

    def _take(self, event: Mapping[str, Any]) -> bool:
        """Take an event from the ASGI server; return False after the last one."""
        if event["type"] == "websocket.disconnect":
            self._close = self._close or _close_of(event)
            return False
        if self._close is None:
            text = event.get("text")
            if text is not None:
                self._deliver(self._receiver.text, text)
            else:
                self._deliver(self._receiver.binary, bytes(event["bytes"]))
        return True

    def _deliver(self, receive: Callable[[T], None], message: T) -> None:
        if message_size(message) > self._context.limits.max_message:
            self.close(CloseCode.TOO_BIG, f"a message of more than {self._context.limits.max_message} bytes")
        else:
            self._guard(receive, message)

    def _guard(self, action: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call the receiver; if it fails, close the connection."""
        try:
            action(*args, **kwargs)
        except Exception:
            logger.exception("what receives from a connection failed")
            self.close(CloseCode.INTERNAL_ERROR)

    # The end of the connection

    def _send_failed(self, error: Exception) -> None:
        """Send nothing more. If the client has gone, its last messages and its Close can still be received."""
        if not isinstance(error, OSError) and not isinstance(error.__context__, OSError):
            logger.error("an ASGI server could not send a message", exc_info=error)
        self.outbox.discard()
        self._stop_later()

    def _stop_later(self) -> None:
        if self._timer is None:
            timeout = self._context.limits.close_timeout
            self._timer = asyncio.get_running_loop().call_later(timeout, self._stop)

    def _stop(self) -> None:
        """Let the reader end, even while it receives."""
        if not self._is_stopped:
            self._is_stopped = True
            self._wake_reader()
            if self._is_receiving:
                self._task.cancel()

    def _end(self) -> None:
        if self._protocol is not None:
            drop_if_unread(self._protocol, 0 if self._is_stopped else self._context.limits.close_timeout)
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()
        self._close = self._close or Close(CloseCode.ABNORMAL, "the connection was lost")
        self.outbox.discard()
        self._sender.stop()
        self._guard(self._receiver.closed, self._close)


def _size_of(event: Mapping[str, Any]) -> int:
    text = event.get("text")
    return message_size(event["bytes"] if text is None else text)


def _close_of(event: Mapping[str, Any]) -> Close:
    """Return the close that an ASGI server reports.

    uvicorn reports 1005 for a lost connection too, but gives a reason only with a Close, if only an empty one.
    """
    code, reason = event.get("code", CloseCode.NO_STATUS), event.get("reason")
    if code == CloseCode.NO_STATUS and reason is None:
        return Close(CloseCode.ABNORMAL, "the connection was lost")
    return Close(code, reason or "")
