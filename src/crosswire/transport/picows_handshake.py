"""What a connection is before it is a WebSocket: one HTTP request, read here and answered, or handed to picows."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, cast

from picows import WSAutoPingStrategy, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener

# Its own server function hides the connection from the upgrade decision, so no peer's address, and fails on a Unix
# socket; the protocol that it makes does neither. It is of C and has no types: to the checkers it is not there.
from picows.picows import WSProtocol  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]

from crosswire.core import deflate
from crosswire.transport.buffered_protocol import feed_buffered_protocol
from crosswire.transport.http_head import BadRequestHead, RequestHead
from crosswire.transport.http_response import encode_response
from crosswire.transport.interface import Accepted, Acceptor, HttpRequest, Response
from crosswire.transport.listener_context import ListenerContext
from crosswire.transport.pending_handshakes import PendingHandshakes
from crosswire.transport.picows_connection import PicowsConnection
from crosswire.transport.picows_log import PICOWS_LOG
from crosswire.transport.picows_transport import PicowsTransport
from crosswire.transport.proxy_header import ProxyHeader

_READ_BUFFER = 2048
_LINGER = 1.0
"""Seconds in which a peer over TLS can read its answer before it is closed on, while it still sends."""


class HandshakeProtocol(asyncio.Protocol):
    """Reads the request of one new connection.

    Args:
        acceptor: decides about it.
        context: of the listener.
        handshakes: counts it among them while it is one.
        proxy_header: what a proxy said of the connection, or None.
    """

    __slots__ = ("_acceptor", "_context", "_handshakes", "_head", "_proxy_header", "_transport")

    def __init__(
        self,
        acceptor: Acceptor,
        context: ListenerContext,
        handshakes: PendingHandshakes,
        proxy_header: ProxyHeader | None = None,
    ) -> None:
        self._proxy_header = proxy_header
        self._acceptor = acceptor
        self._context = context
        self._handshakes = handshakes
        self._head: RequestHead | None = None
        self._transport: asyncio.Transport

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the request, and not for ever."""
        self._transport = cast(asyncio.Transport, transport)
        self._head = RequestHead(self._context.limits)
        self._handshakes.add(self)

    def data_received(self, data: bytes) -> None:
        """Take a part of the request; what comes behind one that was answered is dropped."""
        head = self._head
        if head is None:
            return
        try:
            complete = head.feed(data)
        except BadRequestHead as bad:
            kind = f"HTTP {bad.status}"
            self._context.request_warnings.warn(kind, "a request was refused with HTTP %d: %s", bad.status, bad.reason)
            self._answer(Response(bad.status, bad.reason.encode()), last=False)
            return
        if complete:
            self._head = None
            self._decide(head)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits any more."""
        self._forget_head()
        self._handshakes.discard(self)

    # What the handshakes tell.

    def abort(self) -> None:
        """It took too long: to send its request, or to read the answer."""
        self._transport.abort()

    def close(self) -> None:
        """Nobody listens any more; an answer that was given still leaves."""
        self._transport.close()

    # What becomes of it.

    def _decide(self, head: RequestHead) -> None:
        said = self._proxy_header
        remote = self._peer() if said is None or said.remote is None else said.remote
        secure = self._context.secure or (said is not None and said.tls)
        request = HttpRequest(head.target, head.headers, remote, head.method, head.upgrade, secure)
        decision = self._acceptor.accept(request)
        if isinstance(decision, Response):
            self._answer(decision, with_body=head.method != "HEAD", last=head.whole and not head.rest)
        else:
            self._upgrade(decision, head)

    def _peer(self) -> str:
        peer = self._transport.get_extra_info("peername")
        return str(peer[0]) if isinstance(peer, tuple) else ""

    def _answer(self, response: Response, *, with_body: bool = True, last: bool) -> None:
        """Send an answer and close; where more may come from the peer, once it has closed or the time is over.

        To close while something is unread makes the kernel send a reset, which can overtake the answer.
        """
        self._forget_head()
        self._transport.write(encode_response(response, with_body=with_body))
        if last:
            self._transport.close()
        elif self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            asyncio.get_running_loop().call_later(_LINGER, self._transport.close)

    def _upgrade(self, accepted: Accepted, head: RequestHead) -> None:
        """Hand the connection to picows, which gets the least request that it takes for one."""
        self._handshakes.discard(self)
        connection = PicowsConnection(accepted.receiver, self._context, deflate=accepted.deflate)
        granted = WSUpgradeResponseWithListener(_Granted(accepted), connection)
        protocol = _websocket(granted, self._context.limits.max_message)
        transport = self._transport
        transport.set_protocol(_NOBODY)
        transport.set_protocol(protocol)
        protocol.connection_made(PicowsTransport(transport))
        key = head.headers["sec-websocket-key"]
        feed_buffered_protocol(transport, protocol, _REQUEST % key.strip().encode("latin-1") + head.rest)

    def _forget_head(self) -> None:
        if self._head is not None:
            self._head.forget()
            self._head = None


class _Nobody(asyncio.Protocol):
    """Comes between an opening and a WebSocket.

    uvloop holds on to ``data_received`` of the last protocol that had one, so to the opening for as long as the
    connection lasts; to this one, of which there is one for all, it may.
    """

    @staticmethod  # one function for all, and no bound method for each
    def data_received(data: bytes) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Nothing arrives meanwhile."""


_NOBODY = _Nobody()

_REQUEST = (
    b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: %b\r\n\r\n"
)
"""All that picows looks at; it answers with the key's digest."""


class _Granted(WSUpgradeResponse):
    """The answer to an upgrade; picows adds the digest of the key. Its own writes any answer, and takes its time."""

    def __init__(self, accepted: Accepted) -> None:
        self.status = HTTPStatus.SWITCHING_PROTOCOLS
        self.headers: Any = dict(accepted.headers)  # picows only adds a field
        if accepted.subprotocol is not None:
            self.headers["Sec-WebSocket-Protocol"] = accepted.subprotocol
        if accepted.deflate:
            self.headers["Sec-WebSocket-Extensions"] = deflate.RESPONSE

    def to_bytes(self) -> bytearray:
        fields = "".join([f"{name}: {value}\r\n" for name, value in self.headers.items()])
        return bytearray(_SWITCHING % fields.encode("latin-1"))


_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%b\r\n"


def _websocket(granted: WSUpgradeResponseWithListener, max_message: int) -> Any:
    def grant(_request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        return granted

    return WSProtocol(
        None,  # host and port: a client's
        None,  # path: a client's
        False,  # is_client_side
        grant,
        PICOWS_LOG,
        True,  # disconnect_on_exception
        None,  # websocket_handshake_timeout: the request is there
        False,  # enable_auto_ping: ours share one timer
        10,  # auto_ping_idle_timeout
        10,  # auto_ping_reply_timeout
        WSAutoPingStrategy.PING_WHEN_IDLE,
        False,  # enable_auto_pong: ours pass the outbox, which is bounded
        max_message,
        None,  # extra_headers: a client's
        _READ_BUFFER,
    )
