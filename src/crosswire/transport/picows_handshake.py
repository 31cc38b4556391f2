"""Reads the HTTP request of a new connection, and answers it or hands the connection to picows."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from crosswire.core.headers import Headers
from crosswire.runtime import environment
from crosswire.transport.gentle_close import close_gently
from crosswire.transport.http_head import RequestHead
from crosswire.transport.http_response import encode_response, encode_upgrade
from crosswire.transport.http_rules import BadRequestHead
from crosswire.transport.interface import (
    Accepted,
    Acceptor,
    HandedOver,
    HttpApplication,
    HttpRequest,
    Response,
)
from crosswire.transport.listener_context import ListenerContext
from crosswire.transport.pending_handshakes import PendingHandshakes
from crosswire.transport.picows_connection import PicowsConnection
from crosswire.transport.picows_reader import PicowsReader
from crosswire.transport.picows_transport import PicowsTransport
from crosswire.transport.proxy_header import ProxyHeader
from crosswire.transport.read_rate import ReadRate
from crosswire.transport.socket_transport import SocketTransport
from crosswire.transport.unread_bytes import has_unread
from crosswire.transport.usual_head import read_usual_head


class HandshakeProtocol(asyncio.Protocol):
    """Protocol of a new connection until its request has been read; a ``PendingHandshake``, and a ``HeldReader``.

    When thousands of clients come back at once, the event loop reads the requests of hundreds in one turn. So those
    that come when the turn has had its time wait for the next one, and the clients that are there do not wait for all.
    More than ``Limits.header_size`` is parsed at once, so that what waits takes no more memory than the limit allows.

    Args:
        acceptor: decides about the request.
        context: of the listener.
        handshakes: the pending handshakes of the listener, with this one.
        application: answers other requests than those for WebSockets of the server; None if the acceptor does.
        proxy_header: header that a proxy sent in front, or None.
    """

    __slots__ = (
        "_acceptor",
        "_application",
        "_context",
        "_handshakes",
        "_head",
        "_held",
        "_is_over",
        "_proxy_header",
        "_received",
        "_request",
        "_transport",
    )

    def __init__(
        self,
        acceptor: Acceptor,
        context: ListenerContext,
        handshakes: PendingHandshakes,
        application: HttpApplication | None = None,
        proxy_header: ProxyHeader | None = None,
    ) -> None:
        self._application = application
        self._received = b""  # kept for the application
        self._held = b""  # what waits for its turn; meanwhile nothing more is read
        self._proxy_header = proxy_header
        self._acceptor = acceptor
        self._context = context
        self._handshakes = handshakes
        self._head: RequestHead | None = None  # of a request that has come in parts, or is not usual
        self._is_over = False  # whether the request has been answered, or the connection is gone
        self._request: HttpRequest | None = None  # the request whose body is read
        self._transport: asyncio.Transport

    # asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        """Wait for the request until the timeout."""
        self._transport = transport
        handshakes, is_first = self._handshakes, self._proxy_header is None
        if not is_first and self in handshakes:  # passed on by the protocol before this one
            return
        if not handshakes.add(self, self._peer() if handshakes.guards_addresses and is_first else ""):
            self._is_over = True
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse a part of the request, now or in its turn."""
        turns = self._context.read_turns
        if self._held or (turns.is_over and len(data) <= self._context.limits.header_size):  # thousands may wait
            self._hold(data)
            return
        began = environment.perf_counter()
        self._take(data)
        turns.count_request(began)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the handshake from the pending ones."""
        self._end()
        self._handshakes.discard(self)

    # HeldReader

    def _hold(self, data: bytes) -> None:
        if not self._held:
            self._transport.pause_reading()
            self._context.read_turns.add(self)
        self._held += data

    def serve(self, deadline: float) -> bool:
        """Parse what waits; return False, as nothing is left of it."""
        data, self._held = self._held, b""
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._take(data)
        return False

    def fail(self) -> None:
        self._transport.abort()

    def _take(self, data: bytes) -> None:
        """Parse a part of the request; discard what comes behind a request that has been answered."""
        if self._is_over:
            return
        head, limits = self._head, self._context.limits
        if self._application is not None:
            self._received += data
        elif head is None and (usual := read_usual_head(data, limits)) is not None:
            self._decide(self._make_request(*usual, upgrade=True), is_last=True)
            return
        if head is None:
            self._head = head = RequestHead(limits)
        try:
            self._receive(head, data)
        except BadRequestHead as bad:
            self._context.count_refusal(str(bad.status))
            self._context.request_warnings.warn(
                "HTTP", "a request was refused with HTTP %d: %s", bad.status, bad.reason
            )
            self._respond(Response(bad.status, bad.reason.encode()), is_last=False)

    # PendingHandshake

    def abort(self) -> None:
        self._transport.abort()

    def close(self) -> None:
        self._transport.close()  # a response that has been written still leaves

    def is_unread(self) -> bool:
        """Return whether a part of the request waits to be parsed; what comes behind it does not count."""
        return not self._is_over and (bool(self._held) or has_unread(self._transport))

    # The response or the upgrade

    def _receive(self, head: RequestHead, data: bytes) -> None:
        if self._request is not None:
            self._receive_body(head, self._request, complete=head.feed_body(data))
        elif head.feed(data):
            request = self._make_request(head.target, head.headers, head.method, upgrade=head.upgrade)
            if self._application is not None and self._application.answers(request):
                self._hand_over(self._application, request)
            elif head.upgrade or not head.announces_body or not self._acceptor.wants_body(request):
                self._decide_by(head, request)
            else:
                self._request = request
                self._receive_body(head, request, complete=head.begin_body())

    def _make_request(self, target: str, headers: Headers, method: str = "GET", *, upgrade: bool) -> HttpRequest:
        said = self._proxy_header
        remote = self._peer() if said is None or said.remote is None else said.remote
        secure = self._context.secure or (said is not None and said.tls)
        request = HttpRequest(target, headers, remote, method, upgrade, secure)
        if self._context.secure:
            request.peer_certificate = self._transport.get_extra_info("peercert") or None
        return request

    def _receive_body(self, head: RequestHead, request: HttpRequest, *, complete: bool) -> None:
        if complete:
            request.body = bytes(head.body)
            self._decide_by(head, request)
        elif head.awaits_continue:
            self._transport.write(_CONTINUE)

    def _decide_by(self, head: RequestHead, request: HttpRequest) -> None:
        self._decide(request, head.rest, is_last=head.whole and not head.rest)

    def _decide(self, request: HttpRequest, rest: bytes = b"", *, is_last: bool) -> None:
        """Answer a request.

        Args:
            request: as it came.
            rest: what came behind it.
            is_last: whether nothing more can come from the peer before the answer.
        """
        decision = self._acceptor.accept(request)
        if isinstance(decision, Response):
            self._respond(decision, with_body=request.method != "HEAD", is_last=is_last)
        else:
            self._upgrade(decision, request, rest)

    def _hand_over(self, application: HttpApplication, request: HttpRequest) -> None:
        """Let the application serve the connection, until a later request is for a WebSocket of the server."""
        self._end()
        self._handshakes.discard(self)
        said = self._proxy_header
        # Without the application: what it gives back it does not answer.
        resume = partial(HandshakeProtocol, self._acceptor, self._context, self._handshakes, None, said)
        remote = None if said is None else said.remote
        received, self._received = self._received, b""
        application.take_over(HandedOver(self._transport, received, remote, request.secure, resume))

    def _peer(self) -> str:
        peer = self._transport.get_extra_info("peername")
        return str(peer[0]) if isinstance(peer, tuple) else ""

    def _respond(self, response: Response, *, with_body: bool = True, is_last: bool) -> None:
        """Send a response and close the connection.

        If the peer might still send, the connection is closed when the peer closes it, or at the timeout.

        Args:
            response: to send.
            with_body: False for the response to HEAD.
            is_last: whether nothing more can come from the peer.
        """
        self._end()
        self._transport.write(encode_response(response, with_body=with_body))
        if is_last:
            self._transport.close()
        else:
            close_gently(self._transport)

    def _upgrade(self, accepted: Accepted, request: HttpRequest, rest: bytes) -> None:
        """Answer the request, and hand the connection to picows, with what came behind the request."""
        self._end()
        self._handshakes.discard(self)
        connection = PicowsConnection(accepted.receiver, self._context, deflate=accepted.window_bits > 0)
        context, transport = self._context, self._transport
        rate = ReadRate(context.limits, connection.held_back) if context.has_rates else None
        reader = PicowsReader(transport, connection, context.parsers, context.read_turns, context.grown_buffers, rate)
        if not isinstance(transport, SocketTransport):
            transport.set_protocol(_DETACHED)
        transport.set_protocol(reader)
        answer = encode_upgrade(accepted, request.headers.get("sec-websocket-key").strip())
        connection.open(PicowsTransport(transport, reader, connection), answer)
        if rest:
            reader.start(rest)

    def _end(self) -> None:
        self._is_over = True
        if self._head is not None:
            self._head.forget()
            self._head = None


class _DetachedProtocol(asyncio.Protocol):
    """Protocol that a transport has between the handshake and the WebSocket, one for all connections.

    uvloop keeps ``data_received`` of the last protocol that had one. Without this protocol that would be the
    handshake's, which would live as long as its connection.
    """

    @staticmethod  # one function for all, and no bound method for each
    def data_received(data: bytes) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Receive nothing: the next protocol is set at once."""


_DETACHED = _DetachedProtocol()

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
