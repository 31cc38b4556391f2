"""WebSocket connections in memory, under the contract of every transport: for tests, and for servers in one process.

Only the network is missing: what a server pushes are frames, which wait in its outbox, leave once a turn, and are
held back while the peer does not read.
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterable
from typing import ParamSpec

from crosswire.core.frames import Opcode, Push, close_payload, encode_frame
from crosswire.core.headers import Headers
from crosswire.core.limits import Limits
from crosswire.errors import ProtocolFailure, may_be_sent
from crosswire.transport.inbox import Event, Inbox, parse_close
from crosswire.transport.interface import Acceptor, HttpRequest, Receiver, Response, Traffic
from crosswire.transport.outbox import Flusher, Outbox
from crosswire.types import Close, CloseCode

logger = logging.getLogger("crosswire.transport")

WINDOW = 64 * 1024
"""Bytes on their way that do not count as waiting: what a network and a kernel would hold."""

_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": b64encode(bytes(16)).decode(),
}
_MAX_CONTROL = 125

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
        self._limits = limits
        self._flusher = Flusher()

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
        fields = _request_headers(headers)
        request = HttpRequest(target, fields, remote, upgrade=fields.has_token("connection", "upgrade"))
        decision = self._acceptor.accept(request)
        if isinstance(decision, Response):
            return decision
        connection = MemoryConnection(decision.receiver, self._limits, self._flusher)
        connection.open()
        return MemoryClient(connection, decision.subprotocol, Headers(decision.headers.items()))


class MemoryClient:
    """The peer's side of a connection. It answers Pings and the Close itself, as long as it reads.

    What it sends is received before the call returns, unless the server has paused reading. No method raises for a
    server that is gone.

    Attributes:
        subprotocol: what the server chose, or None.
        headers: fields of the server's answer besides those of the protocol.
    """

    def __init__(self, connection: MemoryConnection, subprotocol: str | None, headers: Headers) -> None:
        self._connection = connection
        self._inbox = connection.inbox
        self.subprotocol = subprotocol
        self.headers = headers

    @property
    def arrivals(self) -> int:
        """How often the server has written to this connection; what it wrote at once counts as one."""
        return self._connection.writes

    def send_text(self, text: str) -> None:
        """Send a text message."""
        self._connection.take(Opcode.TEXT, text.encode())

    def send_binary(self, data: bytes) -> None:
        """Send a binary message."""
        self._connection.take(Opcode.BINARY, data)

    def ping(self, payload: bytes = b"") -> None:
        """Send a Ping; the Pong will be received."""
        self._connection.take(Opcode.PING, payload[:_MAX_CONTROL])

    def pong(self, payload: bytes = b"") -> None:
        """Send a Pong that nobody asked for."""
        self._connection.take(Opcode.PONG, payload[:_MAX_CONTROL])

    def close(self, code: int | None = CloseCode.NORMAL, reason: str = "") -> None:
        """Start the closing handshake; None for a Close without a code. Any code can be tried."""
        self._connection.take(Opcode.CLOSE, close_payload(code, reason))

    def abort(self) -> None:
        """Be gone without a word."""
        self._connection.lose()

    def pause_reading(self) -> None:
        """Read no more of what the server sends."""
        self._inbox.pause()

    def resume_reading(self) -> None:
        """Read again."""
        self._inbox.resume()

    async def receive(self, *, timeout: float = 5) -> Event:
        """Return the next event from the server; see :meth:`Inbox.receive`."""
        return await self._inbox.receive(timeout=timeout)


class MemoryConnection:
    """The server's side of a connection; see ``Connection`` in interface.py.

    Attributes:
        inbox: the peer's.
        push: queues an encoded frame.
        writes: how often something was written to the peer.
    """

    def __init__(self, receiver: Receiver, limits: Limits, flusher: Flusher) -> None:
        self._receiver = receiver
        self._limits = limits
        self.inbox = Inbox(self.take, self._drained)
        self._outbox = Outbox(self, flusher, limits.outbox, self)
        self.push: Push = self._outbox.push
        self.writes = 0
        self._pings = 0
        self._close: Close | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._full = False
        self._low = 0
        self._held: deque[tuple[Opcode, bytes]] | None = None  # what arrived while reading was paused
        self._reading = True
        self._hanging_up = False
        self._lost = False

    # What the server asks of a connection.

    def ping(self, payload: bytes) -> None:
        """Send a Ping."""
        self.push(encode_frame(Opcode.PING, payload))

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake."""
        if self._close is None:
            self._finish(Close(code, reason), code)

    def abort(self, close: Close) -> None:
        """Drop the connection."""
        if self._close is None:
            self._close = close
        self.lose()

    def pause_reading(self) -> None:
        """Read no more: what the peer sends waits."""
        if self._close is None and self._reading:
            self._reading = False
            self._held = self._held or deque()

    def resume_reading(self) -> None:
        """Read again."""
        if not self._reading:
            self._reading = True
            asyncio.get_running_loop().call_soon(self._read_on)

    @property
    def buffered(self) -> int:
        """Bytes that wait to be sent."""
        return self._outbox.buffered

    async def drained(self, below: int) -> bool:
        """Wait until fewer bytes wait to be sent."""
        return await self._outbox.drained(below)

    @property
    def traffic(self) -> Traffic:
        """How far bytes have come: messages are whole here, so that only Pings come unnoticed."""
        return Traffic(self._pings, self.inbox.unread)

    # What the outbox asks of its writer, and tells its owner.

    @property
    def waiting(self) -> int:
        """Bytes that the peer does not read, but for those that a network would hold."""
        return max(self.inbox.unread - WINDOW, 0)

    def send(self, data: bytes) -> None:
        """Hand data to the peer, to be read in a later turn."""
        self.writes += 1
        self.inbox.feed(data)
        self._hold_back()

    def watch(self, low: int | None) -> None:
        """Resume the outbox when ``low`` bytes or fewer are waiting; None: when none are."""
        self._low = low or 0
        self._hold_back()

    def _hold_back(self) -> None:
        if self.waiting > self._low:
            self._full = True
            self._outbox.pause()

    def overflowed(self) -> None:
        """Drop a peer that does not read."""
        self.abort(Close(CloseCode.TRY_AGAIN_LATER, f"more than {self._limits.outbox} bytes were waiting"))

    # What the peer does.

    def open(self) -> None:
        """The upgrade is done."""
        self._tell(self._receiver.opened, self)

    def take(self, opcode: Opcode, payload: bytes) -> None:
        """Take a whole message or a control frame, or keep it while reading is paused."""
        if self._held is None:
            self._take(opcode, payload)
        else:
            self._held.append((opcode, payload))

    def _read_on(self) -> None:
        while self._reading and self._held:
            self._take(*self._held.popleft())
        if self._reading:
            self._held = None

    def _take(self, opcode: Opcode, payload: bytes) -> None:
        if self._lost or self._hanging_up:
            return
        if self._close is None:
            self._tell(self._deliver, opcode, payload)
        elif opcode is Opcode.CLOSE:
            self._hang_up()

    def lose(self) -> None:
        """The connection is gone; the receiver is told in the next turn."""
        if self._lost:
            return
        self._lost = True
        self._outbox.discard()
        self.inbox.end()
        if self._deadline is not None:
            self._deadline.cancel()
        asyncio.get_running_loop().call_soon(self._tell_closed)

    def _deliver(self, opcode: Opcode, payload: bytes) -> None:
        if opcode is Opcode.CLOSE:
            self._answer_close(payload)
        elif opcode is Opcode.PING:
            self._pings += 1
            self.push(encode_frame(Opcode.PONG, payload))
        elif opcode is Opcode.PONG:
            self._receiver.pong(payload)
        elif len(payload) > self._limits.max_message:
            raise ProtocolFailure(CloseCode.TOO_BIG, f"a message of more than {self._limits.max_message} bytes")
        elif opcode is Opcode.TEXT:
            self._receiver.text(payload.decode())
        else:
            self._receiver.binary(payload)

    def _tell(self, action: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Let something arrive; a receiver that fails loses its connection."""
        try:
            action(*args, **kwargs)
        except ProtocolFailure as failure:
            self._fail(failure)
        except Exception:
            logger.exception("what receives from a connection failed")
            self._fail(ProtocolFailure(CloseCode.INTERNAL_ERROR, ""))

    # How a connection ends.

    def _answer_close(self, payload: bytes) -> None:
        close = parse_close(payload)
        if payload and not may_be_sent(close.code):
            raise ProtocolFailure(CloseCode.PROTOCOL_ERROR, f"the close code {close.code}, which must not be sent")
        self._finish(close, close.code if payload else None)
        self._hang_up()

    def _fail(self, failure: ProtocolFailure) -> None:
        if self._close is None:
            self._finish(Close(failure.close_code, failure.reason), failure.close_code)
            self._hang_up()

    def _finish(self, close: Close, code: int | None) -> None:
        """Send a Close frame, the last one, and don't wait for the peer's for ever."""
        frame = encode_frame(Opcode.CLOSE, close_payload(code, close.reason))
        self._close = close
        self.resume_reading()  # the peer's own Close is waited for
        self.push(frame)
        self._outbox.seal()
        self._deadline = asyncio.get_running_loop().call_later(self._limits.close_timeout, self.lose)

    def _hang_up(self) -> None:
        """End once the last frame has left."""
        self._hanging_up = True
        self._outbox.resume()
        if not self.waiting:
            self.lose()

    def _drained(self) -> None:
        if self._full and self.waiting <= self._low:
            self._full = False
            self._outbox.resume()
        if self._hanging_up and not self.waiting:
            self.lose()

    def _tell_closed(self) -> None:
        self._close = self._close or Close(CloseCode.ABNORMAL, "the connection was lost")
        self._tell(self._receiver.closed, self._close)


def _request_headers(given: Iterable[tuple[str, str]]) -> Headers:
    fields = list(given)
    names = {name.lower() for name, _ in fields}
    return Headers([*((name, value) for name, value in _UPGRADE.items() if name.lower() not in names), *fields])
