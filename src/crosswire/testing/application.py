"""A client in memory, for tests of an application."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from crosswire import errors
from crosswire.core import messages
from crosswire.core.codecs import CLIENT_MSGPACK, JSON
from crosswire.core.messages import MSGPACK_SUBPROTOCOL, Message
from crosswire.core.names import require_event
from crosswire.core.payload_types import ANY
from crosswire.core.pending_calls import CallIds
from crosswire.errors import CallTimeout, EventError, NotConnected
from crosswire.server.server import Server
from crosswire.transport.interface import Response
from crosswire.transport.memory import MemoryClient, MemoryListener
from crosswire.types import Close, CloseCode

_MAX_UNREAD_EVENTS = 10_000
"""Events that a client keeps until a test receives them."""
_users: WeakKeyDictionary[Server, int] = WeakKeyDictionary()


class Refused(errors.Refused):
    """The server answered with plain HTTP instead of a WebSocket; ``status`` is the HTTP status.

    Attributes:
        response: its answer.
    """

    def __init__(self, response: Response) -> None:
        super().__init__(CloseCode.POLICY, f"HTTP {response.status}", status=response.status)
        self.response = response


class Received(NamedTuple):
    """An event from the server.

    Attributes:
        event: its name.
        data: what came with it.
        call_id: if the server calls and waits for :meth:`EventClient.answer`, else None.
    """

    event: str
    data: Any
    call_id: str | None = None


@asynccontextmanager
async def connect(
    server: Server,
    target: str = "/",
    headers: Mapping[str, str] | None = None,
    *,
    remote: str = "127.0.0.1",
) -> AsyncIterator[EventClient]:
    """Connect to a server in memory, for as long as the context is entered.

    A server that does not run is started, and stopped when its last client is gone: its ``on_start`` and ``on_stop``
    hooks run, and no port is taken.

    Args:
        server: the application's, with its handlers.
        target: path and query.
        headers: added to the request; ``{"Sec-WebSocket-Protocol": "crosswire.msgpack"}`` for MessagePack.
        remote: the address that the server sees.

    Raises:
        Refused: the server answered with plain HTTP, as after ``Reject(status=401)``.

    Example::

        async def test_say():
            async with crosswire.testing.connect(server, "/?id=1") as client:
                assert await client.call("say", {"msg": "hi"}) == {"msg": "I am a reply to your say event"}
                server.user("1").send("news", 42)
                assert await client.receive("news") == ("news", 42, None)
    """
    async with _running(server):
        peer = await MemoryListener(server.acceptor, server.limits).connect(target, (headers or {}).items(), remote)
        if isinstance(peer, Response):
            raise Refused(peer)
        client = EventClient(peer)
        try:
            yield client
        finally:
            await client.close()


@asynccontextmanager
async def _running(server: Server) -> AsyncIterator[None]:
    """Run a server while the context is entered, unless it runs already."""
    started_here = server in _users or not server.running
    if not started_here:
        yield
        return
    _users[server] = _users.get(server, 0) + 1
    try:
        if not server.running:
            await server.start(listen=False)
        yield
    finally:
        _users[server] -= 1
        if not _users[server]:
            del _users[server]
            await server.stop()


class EventClient:
    """A client that speaks the client protocol; made by :func:`connect`.

    Attributes:
        peer: its end of the WebSocket, for messages of your own protocol, or to read slowly.
    """

    def __init__(self, peer: MemoryClient) -> None:
        self.peer = peer
        self._codec = CLIENT_MSGPACK if peer.subprotocol == MSGPACK_SUBPROTOCOL else JSON
        self._ids = CallIds()
        self._answers: dict[str, Message | None] = {}  # id of a call -> its answer, once it is there
        self._events: deque[Received] = deque()
        self._close: Close | None = None
        self._reading = asyncio.Lock()

    def send(self, event: str, data: Any = None) -> None:
        """Send an event.

        Raises:
            NotConnected: the connection is closed.
            UsageError, InvalidPayload: it can't be sent.
        """
        self._send(messages.event(require_event(event), data))

    async def call(self, event: str, data: Any = None, *, timeout: float = 5) -> Any:
        """Call the server and return its answer.

        Raises:
            CallTimeout: there was no answer within ``timeout`` seconds.
            EventError: the server refused.
            NotConnected: the connection was closed before.
            UsageError, InvalidPayload: it can't be sent.
        """
        call_id = self._ids.next()
        self._send(messages.client_call(require_event(event), data, call_id))
        self._answers[call_id] = None
        try:
            await self._until(lambda: self._answers[call_id] is not None, timeout)
            message = self._answers[call_id]
        except TimeoutError:
            raise CallTimeout(f"the server did not answer {event!r} within {timeout} s") from None
        finally:
            del self._answers[call_id]
        assert message is not None
        if message.error is not None:
            raise EventError(message.error.code, message.error.message)
        return self._codec.payload(ANY, message.payload)

    async def receive(self, event: str | None = None, *, timeout: float = 5) -> Received:
        """Return the next event, or the next event of that name; other events are kept for later.

        Raises:
            TimeoutError: there was none within ``timeout`` seconds.
            NotConnected: the connection was closed before.
        """
        await self._until(lambda: self._find(event) is not None, timeout)
        found = self._find(event)
        assert found is not None
        self._events.remove(found)
        return found

    async def receive_nothing(self, event: str | None = None, *, timeout: float = 0.1) -> None:
        """Check that no event comes within ``timeout`` seconds, or none of that name; other events are kept for later.

        Raises:
            AssertionError: one came, or had come before and was not received.
            NotConnected: the connection was closed before.
        """
        try:
            received = await self.receive(event, timeout=timeout)
        except TimeoutError:
            return
        raise AssertionError(f"an event came: {received}")

    def answer(self, call: Received, data: Any = None) -> None:
        """Answer a call of the server."""
        assert call.call_id is not None, f"the server does not wait for an answer to {call}"
        self._send(messages.server_call_answer(call.call_id, data))

    def refuse(self, call: Received, error: EventError) -> None:
        """Refuse a call of the server."""
        assert call.call_id is not None, f"the server does not wait for an answer to {call}"
        self._send(messages.server_call_refusal(call.call_id, error))

    async def closed(self, *, timeout: float = 5) -> Close:
        """Wait until the server closes the connection; return its code and reason. Events are kept for later.

        Raises:
            TimeoutError: it did not within ``timeout`` seconds.
        """
        await self._until(lambda: self._close is not None, timeout)
        assert self._close is not None
        return self._close

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> Close:
        """Close the connection if it is open; return its code and reason."""
        self.peer.resume_reading()
        self.peer.close(code, reason)
        return await self.closed()

    def _send(self, message: Any) -> None:
        if self._close is not None:
            raise NotConnected(f"the server has closed the connection with {self._close}")
        data = self._codec.encode(message)
        if self._codec.binary:
            self.peer.send_binary(data)
        else:
            self.peer.send_text(data.decode())

    def _find(self, event: str | None) -> Received | None:
        return next((each for each in self._events if event in (None, each.event)), None)

    async def _until(self, ready: Callable[[], bool], timeout: float) -> None:
        """Receive messages until ``ready()``; where several tasks wait, one of them receives for all."""
        async with asyncio.timeout(timeout):
            while not ready():
                async with self._reading:
                    if not ready():
                        await self._take_next(timeout)

    async def _take_next(self, timeout: float) -> None:
        if self._close is not None:
            raise NotConnected(f"the server has closed the connection with {self._close}")
        arrived = await self.peer.receive(timeout=timeout)
        if isinstance(arrived, Close):
            self._close = arrived
        elif isinstance(arrived, str | bytes):
            self._take(self._codec.decode(arrived))

    def _take(self, message: Message) -> None:
        if message.event is None:
            if message.callback_id in self._answers:
                self._answers[message.callback_id] = message
            return
        assert len(self._events) < _MAX_UNREAD_EVENTS, f"{_MAX_UNREAD_EVENTS} events were not received"
        self._events.append(Received(message.event, self._codec.payload(ANY, message.payload), message.call_id))
