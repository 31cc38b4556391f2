"""Reads the HTTP request of a new connection, and answers it or hands the connection to picows."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import cast

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
from crosswire.transport.unread_bytes import has_unread


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
        self._head: RequestHead | None = None
        self._request: HttpRequest | None = None  # the request whose body is read
        self._transport: asyncio.Transport

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the request until the timeout."""
        self._transport = cast(asyncio.Transport, transport)
        handshakes = self._handshakes
        is_counted = self._proxy_header is not None  # by the protocol before this one
        if handshakes.add(self, self._peer() if handshakes.guards_addresses and not is_counted else ""):
            self._head = RequestHead(self._context.limits)
        else:
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
        self._forget_head()
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
        head = self._head
        if head is None:
            return
        if self._application is not None:
            self._received += data
        try:
            self._receive(head, data)
        except BadRequestHead as bad:
            self._context.count_refusal(str(bad.status))
            self._context.request_warnings.warn(
                "HTTP", "a request was refused with HTTP %d: %s", bad.status, bad.reason
            )
            self._respond(Response(bad.status, bad.reason.encode()), last=False)

    # PendingHandshake

    def abort(self) -> None:
        self._transport.abort()

    def close(self) -> None:
        self._transport.close()  # a response that has been written still leaves

    def is_unread(self) -> bool:
        """Return whether a part of the request waits to be parsed; what comes behind it does not count."""
        return self._head is not None and (bool(self._held) or has_unread(self._transport))

    # The response or the upgrade

    def _receive(self, head: RequestHead, data: bytes) -> None:
        if self._request is not None:
            self._receive_body(head, self._request, complete=head.feed_body(data))
        elif head.feed(data):
            request = self._make_request(head)
            if self._application is not None and self._application.answers(request):
                self._hand_over(self._application, request)
            elif head.upgrade or not head.announces_body or not self._acceptor.wants_body(request):
                self._decide(head, request)
            else:
                self._request = request
                self._receive_body(head, request, complete=head.begin_body())

    def _make_request(self, head: RequestHead) -> HttpRequest:
        said = self._proxy_header
        remote = self._peer() if said is None or said.remote is None else said.remote
        secure = self._context.secure or (said is not None and said.tls)
        request = HttpRequest(head.target, head.headers, remote, head.method, head.upgrade, secure)
        if self._context.secure:
            request.peer_certificate = self._transport.get_extra_info("peercert") or None
        return request

    def _receive_body(self, head: RequestHead, request: HttpRequest, *, complete: bool) -> None:
        if complete:
            request.body = bytes(head.body)
            self._decide(head, request)
        elif head.awaits_continue:
            self._transport.write(_CONTINUE)

    def _decide(self, head: RequestHead, request: HttpRequest) -> None:
        decision = self._acceptor.accept(request)
        if isinstance(decision, Response):
            self._respond(decision, with_body=head.method != "HEAD", last=head.whole and not head.rest)
        else:
            self._head = None
            self._upgrade(decision, head)

    def _hand_over(self, application: HttpApplication, request: HttpRequest) -> None:
        """Let the application serve the connection, until a later request is for a WebSocket of the server."""
        self._forget_head()
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

    def _respond(self, response: Response, *, with_body: bool = True, last: bool) -> None:
        """Send a response and close the connection.

        If the peer might still send, the connection is closed when the peer closes it, or at the timeout.

        Args:
            response: to send.
            with_body: False for the response to HEAD.
            last: whether nothing more can come from the peer.
        """
        self._forget_head()
        self._transport.write(encode_response(response, with_body=with_body))
        if last:
            self._transport.close()
        else:
            close_gently(self._transport)

    def _upgrade(self, accepted: Accepted, head: RequestHead) -> None:
        """Answer the request, and hand the connection to picows."""
        self._handshakes.discard(self)
        connection = PicowsConnection(accepted.receiver, self._context, deflate=accepted.window_bits > 0)
        context, transport = self._context, self._transport
        rate = ReadRate.of(context.limits, connection.held_back)
        reader = PicowsReader(transport, connection, context.parsers, context.read_turns, context.grown_buffers, rate)
        transport.set_protocol(_DETACHED)
        transport.set_protocol(reader)
        answer = encode_upgrade(accepted, head.headers["sec-websocket-key"].strip())
        connection.open(PicowsTransport(transport, reader, connection), answer)
        reader.start(head.rest)

    def _forget_head(self) -> None:
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
