"""WebSocket connections in memory, under the contract of every transport: for tests, and for servers in one process.

Only the network is missing: what a server pushes are frames, which wait in its outbox, leave once a turn, and are
held back while the peer does not read.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import ParamSpec

from crosswire.core.formats import Offer
from crosswire.core.frames import Opcode, close_payload, encode_frame
from crosswire.core.headers import Headers
from crosswire.core.limits import Limits
from crosswire.errors import ProtocolFailure
from crosswire.runtime.flusher import Flusher
from crosswire.runtime.log_records import get_logger
from crosswire.transport.closing import ClosingHandshake, read_close
from crosswire.transport.inbox import Answer, Inbox, MakeInbox, PeerEvent
from crosswire.transport.interface import Acceptor, HttpRequest, Receiver, Response, TrafficSnapshot
from crosswire.transport.listener_context import ListenerContext
from crosswire.transport.memory_transport import MemoryTransport
from crosswire.transport.outbox import Outbox
from crosswire.transport.read_rate import ReadRate
from crosswire.types import Close, CloseCode

logger = get_logger("crosswire.transport")

_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": b64encode(bytes(16)).decode(),
}
_MAX_CONTROL = 125
"""Bytes of the longest payload of a Ping or Pong (RFC 6455, section 5.5)."""

P = ParamSpec("P")


class MemoryListener:
    """Takes connections from its own process; belongs to one event loop.

    Args:
        acceptor: decides about every request.
        limits: of every connection.

    Example::

        peer = await MemoryListener(server.acceptor, Limits()).connect("/?id=1")
        assert isinstance(peer, MemoryClient)
        peer.send_text('{"event": "say"}')
        print(await peer.receive())
    """

    def __init__(self, acceptor: Acceptor, limits: Limits) -> None:
        self._acceptor = acceptor
        self._context = ListenerContext(limits, Flusher())

    async def connect(
        self,
        target: str = "/",
        headers: Iterable[tuple[str, str]] = (),
        remote: str = "memory",
    ) -> MemoryClient | Response:
        """Ask for a WebSocket; return the peer's side of it, or the answer that refuses it.

        Args:
            target: path and query.
            headers: added to those that ask for the upgrade; a field of the same name replaces one.
            remote: the address that the server sees.
        """
        decision = self._acceptor.accept(make_upgrade_request(target, headers, remote))
        if isinstance(decision, Response):
            return decision
        inboxes: list[Inbox] = []

        def make_inbox(answer: Answer, drained: Callable[[], None]) -> Inbox:
            inboxes.append(Inbox(answer, drained))
            return inboxes[0]

        connection = MemoryConnection(decision.receiver, self._context, make_inbox)
        connection.open()
        return MemoryClient(connection.transport, inboxes[0], decision.subprotocol, Headers(decision.headers.items()))


class MemoryClient:
    """The peer's side of a connection. It answers Pings and the Close itself, as long as it reads.

    What it sends is received before the call returns, unless the server has paused reading. No method raises for a
    server that is gone.

    Attributes:
        subprotocol: what the server chose, or None.
        headers: fields of the server's answer besides those of the protocol.
    """

    def __init__(self, transport: MemoryTransport, inbox: Inbox, subprotocol: str | None, headers: Headers) -> None:
        self._transport = transport
        self._inbox = inbox
        self.subprotocol = subprotocol
        self.headers = headers

    @property
    def arrivals(self) -> int:
        """Number of writes of the server to this connection; frames that leave together are one."""
        return self._transport.writes

    def send_text(self, text: str) -> None:
        """Send a text message to the server."""
        self._transport.receive(Opcode.TEXT, text.encode())

    def send_binary(self, data: bytes) -> None:
        """Send a binary message to the server."""
        self._transport.receive(Opcode.BINARY, data)

    def ping(self, payload: bytes = b"") -> None:
        """Send a Ping; the Pong will be received."""
        self._transport.receive(Opcode.PING, payload[:_MAX_CONTROL])

    def pong(self, payload: bytes = b"") -> None:
        """Send a Pong without a Ping before it."""
        self._transport.receive(Opcode.PONG, payload[:_MAX_CONTROL])

    def close(self, code: int | None = CloseCode.NORMAL, reason: str = "") -> None:
        """Start the closing handshake; None for a Close without a code. Any code can be tried."""
        self._transport.receive(Opcode.CLOSE, close_payload(code, reason))

    def abort(self) -> None:
        """Drop the connection without a closing handshake."""
        self._transport.abort()

    def pause_reading(self) -> None:
        """Stop reading what the server sends."""
        self._inbox.pause()

    def resume_reading(self) -> None:
        """Read what the server sends again."""
        self._inbox.resume()

    async def receive(self, *, timeout: float = 5) -> PeerEvent:
        """Return the next event from the server; see :meth:`Inbox.receive`."""
        return await self._inbox.receive(timeout=timeout)


class MemoryConnection:
    """The server's side of a connection; see ``Connection`` in interface.py.

    Args:
        receiver: gets what arrives.
        context: of the listener.
        make_inbox: makes the peer's side.

    Attributes:
        transport: leads to the peer.
        outbox: what waits to be sent.
    """

    framed = True
    can_ping = True

    def __init__(self, receiver: Receiver, context: ListenerContext, make_inbox: MakeInbox) -> None:
        self._receiver = receiver
        self._context = context
        self.transport = MemoryTransport(self, make_inbox, ReadRate.of(context.limits, self._held_back))
        self.outbox = Outbox(self.transport, context.flusher, context.limits.outbox, self, context.slow_readers)
        self._pings = 0
        self._closing: ClosingHandshake | None = None

    def open(self) -> None:
        """Call ``opened`` of the receiver: the upgrade is done."""
        self._guard(self._receiver.opened, self)

    # Connection

    def ping(self, payload: bytes) -> None:
        self.outbox.push(encode_frame(Opcode.PING, payload))

    def close(self, code: int, reason: str = "") -> None:
        if self._closing is None:
            self._start_closing(Close(code, reason), code)

    def abort(self, close: Close) -> None:
        if self._closing is None:
            self._closing = ClosingHandshake(close, self.outbox, self.transport)
        self.outbox.discard()
        self.transport.abort()

    @property
    def offer(self) -> Offer:
        return self.outbox.offer

    @property
    def behind(self) -> bool:
        return self.outbox.behind

    def pause_reading(self) -> None:
        if self._closing is None:
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        self.transport.resume_reading()

    def peer_has_left(self, *, half: bool) -> bool:
        return False  # the end of a peer in memory is told at once, whether it is read or not

    @property
    def buffered(self) -> int:
        return self.outbox.buffered

    async def drained(self, below: int) -> bool:
        return await self.outbox.drained(below)

    @property
    def traffic(self) -> TrafficSnapshot:
        # Whole messages reach the receiver by themselves: only Pings have to be counted.
        return TrafficSnapshot(self._pings, self.transport.inbox.unread, is_held_back=self.transport.is_held_back)

    # OutboxEvents

    def overflowed(self) -> None:
        self.abort(self._context.overflow_close())

    def fell_behind(self) -> None:
        self.abort(self._context.slow_reader_close())

    # MemoryTransportEvents

    def frame_received(self, opcode: Opcode, payload: bytes) -> None:
        if self._closing is None:
            self._guard(self._handle_frame, opcode, payload)
        elif opcode is Opcode.CLOSE:
            self._closing.finish()

    def pause_writing(self) -> None:
        self.outbox.pause()

    def resume_writing(self) -> None:
        self.outbox.resume()

    def connection_lost(self) -> None:
        self.outbox.discard()
        if self._closing is None:
            self._closing = ClosingHandshake(
                Close(CloseCode.ABNORMAL, "the connection was lost"), self.outbox, self.transport
            )
        self._closing.end()
        self._guard(self._receiver.closed, self._closing.close)

    def _handle_frame(self, opcode: Opcode, payload: bytes) -> None:
        if opcode is Opcode.CLOSE:
            close = read_close(payload)
            self._start_closing(close, close.code if payload else None).finish()
        elif opcode is Opcode.PING:
            self._pings += 1
            self.outbox.push(encode_frame(Opcode.PONG, payload))
        elif opcode is Opcode.PONG:
            self._receiver.pong(payload)
        elif len(payload) > self._context.limits.max_message:
            raise ProtocolFailure(CloseCode.TOO_BIG, f"a message of more than {self._context.limits.max_message} bytes")
        elif opcode is Opcode.TEXT:
            self._receiver.text(payload.decode())
        else:
            self._receiver.binary(payload)

    def _held_back(self, limit: str) -> None:
        self._receiver.held_back(limit)

    def _guard(self, action: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call the receiver; if it fails, so does the connection."""
        try:
            action(*args, **kwargs)
        except ProtocolFailure as failure:
            self._fail(failure)
        except Exception:
            logger.exception("what receives from a connection failed")
            self._fail(ProtocolFailure(CloseCode.INTERNAL_ERROR, ""))

    # The end of the connection

    def _fail(self, failure: ProtocolFailure) -> None:
        closing = self._closing or self._start_closing(Close(failure.close_code, failure.reason), failure.close_code)
        closing.fail()

    def _start_closing(self, close: Close, code: int | None) -> ClosingHandshake:
        self._closing = closing = ClosingHandshake(close, self.outbox, self.transport)
        closing.start(code, self._context.limits.close_timeout)
        return closing


def make_upgrade_request(target: str, headers: Iterable[tuple[str, str]], remote: str) -> HttpRequest:
    """Return a request for a WebSocket; a field of ``headers`` replaces one of the upgrade's of the same name."""
    given = list(headers)
    names = {name.lower() for name, _ in given}
    own = [(name, value) for name, value in _UPGRADE.items() if name.lower() not in names]
    fields = Headers([*own, *given])
    return HttpRequest(target, fields, remote, upgrade=fields.has_token("connection", "upgrade"))
