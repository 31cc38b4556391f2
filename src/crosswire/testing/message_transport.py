"""Connections in memory that carry messages instead of WebSocket frames and have no pings, as those of ASGI servers.

The server and the contract of transports are tested with them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import ParamSpec

from crosswire.core.headers import Headers
from crosswire.core.limits import Limits
from crosswire.errors import NotConnected
from crosswire.runtime.flusher import Flusher
from crosswire.transport.drain_waiters import DrainWaiters
from crosswire.transport.interface import Acceptor, Receiver, Response, TrafficSnapshot
from crosswire.transport.listener_context import ListenerContext
from crosswire.transport.memory import make_upgrade_request
from crosswire.types import Close, CloseCode

logger = logging.getLogger("crosswire.testing")

P = ParamSpec("P")

CAPACITY = 64 * 1024
"""Bytes of messages that a client takes before it receives them."""


class MessageListener:
    """Source of connections from its own process, which carry messages.

    Args:
        acceptor: decides about every request.
        limits: of every connection.
    """

    def __init__(self, acceptor: Acceptor, limits: Limits) -> None:
        self._acceptor = acceptor
        self._context = ListenerContext(limits, Flusher())

    async def connect(
        self, target: str = "/", headers: Iterable[tuple[str, str]] = (), remote: str = "memory"
    ) -> MessageClient | Response:
        """Ask for a WebSocket; return the peer's side of it, or the answer that refuses it."""
        decision = self._acceptor.accept(make_upgrade_request(target, headers, remote))
        if isinstance(decision, Response):
            return decision
        connection = MessageConnection(decision.receiver, self._context)
        connection.open()
        return MessageClient(connection, decision.subprotocol, Headers(decision.headers.items()))


class MessageClient:
    """The peer's side of a connection; a ``TransportPeer`` of the contract suite.

    Attributes:
        subprotocol: what the server chose, or None.
        headers: fields of the server's answer besides those of the protocol.
    """

    def __init__(self, connection: MessageConnection, subprotocol: str | None, headers: Headers) -> None:
        self._connection = connection
        self._inbox = connection.inbox
        self.subprotocol = subprotocol
        self.headers = headers

    def send_text(self, text: str) -> None:
        """Send a text message to the server."""
        self._connection.receive(text)

    def send_binary(self, data: bytes) -> None:
        """Send a binary message to the server."""
        self._connection.receive(data)

    def close(self, code: int | None = CloseCode.NORMAL, reason: str = "") -> None:
        """Close the connection; None for a close without a code."""
        self._connection.receive(Close(CloseCode.NO_STATUS if code is None else code, reason))

    def abort(self) -> None:
        """Drop the connection without a close."""
        self._connection.end()

    def pause_reading(self) -> None:
        """Take nothing more from the server."""
        self._inbox.paused = True

    def resume_reading(self) -> None:
        """Take the messages that wait, and new ones from now on."""
        self._inbox.paused = False
        self._connection.send_waiting()

    async def receive(self, *, timeout: float = 5) -> str | bytes | Close:
        """Return the next message; the last one is a Close, with 1006 if the connection was lost.

        Raises:
            TimeoutError: there was none within ``timeout`` seconds.
            NotConnected: the connection is gone, and all that arrived on it has been received.
        """
        async with asyncio.timeout(timeout):
            message = await self._inbox.next()
        self._connection.send_waiting()
        return message


class MessageInbox:
    """Messages that a client has taken and not received yet.

    Attributes:
        paused: whether the client takes nothing more.
    """

    def __init__(self) -> None:
        self._messages: asyncio.Queue[str | bytes | Close | None] = asyncio.Queue()  # None comes last
        self._size = 0
        self._closed = False
        self.paused = False

    @property
    def takes_more(self) -> bool:
        """Whether the client takes another message."""
        return not self.paused and self._size < CAPACITY

    def put(self, message: str | bytes | Close) -> None:
        """Add a message from the server."""
        self._closed = isinstance(message, Close)
        self._size += _size(message)
        self._messages.put_nowait(message)

    def end(self) -> None:
        """Add the end of the connection."""
        if not self._closed:
            self.put(Close(CloseCode.ABNORMAL, "the connection was lost"))
        self._messages.put_nowait(None)

    async def next(self) -> str | bytes | Close:
        """Return the next message; see :meth:`MessageClient.receive`."""
        message = await self._messages.get()
        if message is None:
            self._messages.put_nowait(None)
            raise NotConnected("the connection is gone, and all that arrived on it was received")
        self._size -= _size(message)
        return message


class MessageConnection:
    """The server's side of a connection; see ``Connection`` in transport/interface.py.

    Args:
        receiver: gets what arrives.
        context: of the listener.

    Attributes:
        inbox: the client's.
        buffered: bytes that wait to be sent.
    """

    framed = False
    can_ping = False
    traffic = TrafficSnapshot(0, 0)

    def __init__(self, receiver: Receiver, context: ListenerContext) -> None:
        self._receiver = receiver
        self._context = context
        self.inbox = MessageInbox()
        self._waiting: deque[str | bytes | Close] = deque()
        self.buffered = 0
        self._drain_waiters = DrainWaiters(lambda: self.buffered, lambda low: None)
        self._held: deque[str | bytes | Close] | None = None  # what arrived while reading was paused
        self._reading = True
        self._close: Close | None = None
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Call ``opened`` of the receiver: the upgrade is done."""
        self._guard(self._receiver.opened, self)

    # Connection

    def push(self, messages: tuple[str | bytes, ...]) -> None:
        """Queue messages, which leave at the end of the turn."""
        for message in messages:
            if self._close is None:
                self._queue(message)

    def ping(self, payload: bytes) -> None:
        """Fail: a connection without pings was asked for one."""
        raise AssertionError("this connection has no pings")

    def close(self, code: int, reason: str = "") -> None:
        """Close the connection after the messages that wait."""
        if self._close is None:
            self._start_closing(Close(code, reason))

    def abort(self, close: Close) -> None:
        """Drop the connection without a handshake."""
        self._close = self._close or close
        self.end()

    def pause_reading(self) -> None:
        """Keep what the client sends from now on."""
        if self._close is None and self._reading:
            self._reading = False
            self._held = self._held or deque()

    def resume_reading(self) -> None:
        """Take the messages that the client has sent, and new ones from now on."""
        if not self._reading:
            self._reading = True
            asyncio.get_running_loop().call_soon(self._read_held)

    async def drained(self, below: int) -> bool:
        """Wait until fewer bytes wait to be sent."""
        self.send_waiting()
        if self._close is not None or self._ended:
            return False
        return self.buffered < below or await self._drain_waiters.wait(below)

    # What leaves

    def flush(self) -> None:
        """Send what the turn has queued."""
        self.send_waiting()

    def send_waiting(self) -> None:
        """Hand the client as much as it takes; the connection ends with a close."""
        while self._waiting and self.inbox.takes_more:
            message = self._waiting.popleft()
            self.buffered -= _size(message)
            self.inbox.put(message)
            if isinstance(message, Close):
                self.end()
        self._drain_waiters.check()

    def _queue(self, message: str | bytes) -> None:
        if self._is_full(message):
            self.send_waiting()  # a busy turn queued much: the peer might well be reading
        if self._is_full(message):
            self._waiting.clear()
            self._close = Close(CloseCode.TRY_AGAIN_LATER, self._context.warn_of_overflow())
            asyncio.get_running_loop().call_soon(self.end)
            return
        if not self._waiting:
            self._context.flusher.schedule(self)
        self._waiting.append(message)
        self.buffered += _size(message)

    def _is_full(self, message: str | bytes) -> bool:
        return bool(self._waiting) and self.buffered + _size(message) > self._context.limits.outbox

    # What arrives

    def receive(self, message: str | bytes | Close) -> None:
        """Take a message or the close of the client, or keep it while reading is paused."""
        if self._held is None:
            self._receive(message)
        else:
            self._held.append(message)

    def _read_held(self) -> None:
        while self._reading and self._held:
            self._receive(self._held.popleft())
        if self._reading:
            self._held = None

    def _receive(self, message: str | bytes | Close) -> None:
        if self._close is not None or self._ended:
            return
        if isinstance(message, Close):
            self._start_closing(message)
        elif _size(message) > self._context.limits.max_message:
            self._start_closing(Close(CloseCode.TOO_BIG))
        elif isinstance(message, str):
            self._guard(self._receiver.text, message)
        else:
            self._guard(self._receiver.binary, message)

    def _guard(self, action: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call the receiver; if it fails, close the connection."""
        try:
            action(*args, **kwargs)
        except Exception:
            logger.exception("what receives from a connection failed")
            self.close(CloseCode.INTERNAL_ERROR)

    # The end of the connection

    def _start_closing(self, close: Close) -> None:
        self._close = close
        self.resume_reading()
        if not self._waiting:
            self._context.flusher.schedule(self)
        self._waiting.append(close)
        self._drain_waiters.end()
        self._timer = asyncio.get_running_loop().call_later(self._context.limits.close_timeout, self.end)

    def end(self) -> None:
        """Drop the connection; ``closed`` of the receiver is called in the next turn."""
        if self._ended:
            return
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()
        self.buffered = 0
        self._drain_waiters.end()
        self.inbox.end()
        asyncio.get_running_loop().call_soon(self._tell_closed)

    def _tell_closed(self) -> None:
        self._close = self._close or Close(CloseCode.ABNORMAL, "the connection was lost")
        self._guard(self._receiver.closed, self._close)


def _size(message: str | bytes | Close) -> int:
    """Return the bytes that a message takes; a close takes none, as it is always queued."""
    if isinstance(message, Close):
        return 0
    return len(message.encode()) if isinstance(message, str) else len(message)
