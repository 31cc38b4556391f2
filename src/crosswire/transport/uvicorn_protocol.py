"""The HTTP of an application on the port of the WebSockets: uvicorn's protocol, which gives WebSockets back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from crosswire.core.headers import Headers
from crosswire.core.limits import Limits
from crosswire.runtime.throttled_warnings import ThrottledWarnings
from crosswire.transport.gentle_close import close_gently
from crosswire.transport.http_response import encode_response
from crosswire.transport.http_rules import BadRequestHead, announces_body, check_head, checked_target
from crosswire.transport.interface import HandedOver, HttpRequest, Response
from crosswire.transport.pending_handshakes import PendingHandshakes
from crosswire.transport.unread_bytes import has_unread


@dataclass(slots=True, kw_only=True)
class ApplicationShare:
    """Things that all connections of an application share, from the start of the server to its stop.

    Attributes:
        config: uvicorn's, with the application.
        server_state: uvicorn's, with the connections and the tasks of their requests.
        app_state: what the lifespan of the application has put into its state.
        access_log: whether each request is logged.
        takes_websocket: returns whether a request is for a WebSocket of the server.
        limits: of the connections.
        heads: the connections that have sent a part of the head of a further request.
        warnings: of requests that are refused.
        draining: whether the server stops: each connection ends with its current request.
    """

    config: Config
    server_state: ServerState
    app_state: dict[str, Any]
    access_log: bool
    takes_websocket: Callable[[HttpRequest], bool]
    limits: Limits
    heads: PendingHandshakes
    warnings: ThrottledWarnings
    draining: bool = False


class ApplicationProtocol(HttpToolsProtocol):
    """Protocol of a connection whose first request was the application's; a ``PendingHandshake`` for the next head.

    A later request for a WebSocket of the server gives the connection back, once the responses before it have left.

    Args:
        share: what all connections share.
        connection: as it was handed over.
    """

    parser: HttpRequestParser

    def __init__(self, share: ApplicationShare, connection: HandedOver) -> None:
        super().__init__(share.config, share.server_state, share.app_state, asyncio.get_running_loop())
        self.access_log = share.access_log and self.access_logger.isEnabledFor(logging.INFO)
        self._share = share
        self._connection = connection
        self._context = copy_context()
        self._behind_upgrade: bytes | None = None  # once the request for a WebSocket has come
        self._head_size = 0  # bytes of a head that is not complete, roughly
        self._head_timed = False  # whether the time for this head runs
        self._parsed = 0  # bytes of the parts of a head that the parser has handed on
        self._has_body_left = False
        self._behind_body = 0  # bytes since the last one of the body: the parser keeps what is no body until it ends
        self._refusal: BadRequestHead | None = None  # then the connection ends

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin with the client that a proxy named, if there is one."""
        super().connection_made(transport)
        remote = self._connection.remote
        if remote is not None:
            self.client = (remote, 0) if remote else None
        self.scheme = "https" if self._connection.secure else "http"

    def data_received(self, data: bytes) -> None:
        """Parse requests, until one for a WebSocket ends HTTP on this connection."""
        if self._refusal is not None:  # it ends: what comes is discarded
            return
        if self._behind_upgrade is not None:
            self._behind_upgrade += data
            self.flow.pause_reading()
            return
        self._unset_keepalive_if_required()
        self._behind_body += len(data)
        left = data
        while left:
            try:
                self.parser.feed_data(left)
                break
            except HttpParserError as error:
                self._refuse(_reason_of(error))
                return
            except HttpParserUpgrade as upgrade:
                left = left[upgrade.args[0] :]
                if self._request.wants_websocket:
                    self._behind_upgrade = left
                    self._leave_http()
                    return
                if self.parser.get_method() == b"CONNECT":  # however often it is parsed, a tunnel follows it
                    self._refuse(BadRequestHead(501, "there are no tunnels here"))  # RFC 9110, section 9.3.6
                    return
                left = self._head_bytes(upgrade=False) + left
                self._renew_parser()
        self._hold_to_limits(len(data))
        if self._share.draining:
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the requests of the connection."""
        super().connection_lost(exc)
        self._head_arrived()
        self._behind_upgrade = None

    def resume_writing(self) -> None:
        """Write on, or leave HTTP now that all responses have left."""
        super().resume_writing()
        if self._behind_upgrade is not None:
            self._leave_http()

    # PendingHandshake

    def abort(self) -> None:
        """Drop the connection: the head of its next request took too long."""
        self.transport.abort()

    def close(self) -> None:
        """Close the connection: the server has stopped."""
        self.transport.close()

    def is_unread(self) -> bool:
        """Return whether more of the head has come; a body that nobody waits for may come without end."""
        return not self._has_body_left and has_unread(self.transport)

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        """Begin with the next request."""
        super().on_message_begin()
        self._parsed = 0

    def on_url(self, url: bytes) -> None:
        """Add a part of the target."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a field of the head; leave out one behind a body, as the application has the head already."""
        self._count(len(name) + len(value) + len(": \r\n"))
        if not self._has_body_left:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand a request to the application, if its head is as that of a first request must be."""
        if len(self.headers) > self._share.limits.headers:
            raise BadRequestHead(431, f"there are more than {self._share.limits.headers} header fields")
        method = self.parser.get_method().decode("ascii")
        check_head(self.parser.get_http_version(), method, Headers.of_bytes(self.headers))
        checked_target(method, self.url.decode("ascii"))
        super().on_headers_complete()
        self._has_body_left, self._behind_body, self._parsed = True, 0, 0

    def on_body(self, body: bytes) -> None:
        """Hand on a part of the body."""
        super().on_body(body)
        self._behind_body = 0

    def on_message_complete(self) -> None:
        """Note the end of the request."""
        super().on_message_complete()
        self._has_body_left, self._behind_body = False, 0

    # The limits of a further request

    def _count(self, size: int) -> None:
        self._parsed += size
        if self._parsed > self._share.limits.header_size:
            raise self._too_large(414 if not self.headers else 431)

    def _hold_to_limits(self, received: int) -> None:
        """Hold a head, and what is sent behind a response or between the parts of a body, to the limits."""
        cycle: RequestResponseCycle | None = self.cycle
        if self._has_body_left:
            if self._behind_body > self._share.limits.header_size:
                self._refuse(self._too_large(431))
            elif cycle is not None and cycle.response_complete:  # nobody waits for this body
                self._time_head()
        elif cycle is None or cycle.scope is not self.scope or cycle.response_complete:
            self._wait_for_head(received)
        elif self._head_size:
            self._head_arrived()

    def _wait_for_head(self, received: int) -> None:
        """Hold the rest of a head to the limits: a head that comes as one part, as most do, is none of them."""
        if self._head_size:
            self._head_size += received
        else:
            self._head_size = 1  # the beginning of the head might have come behind a long body
        if self._head_size > self._share.limits.header_size:
            self._refuse(self._too_large(431))
        elif not self._is_responding:
            self._time_head()

    def _time_head(self) -> None:
        if not self._head_timed:
            self._head_timed = True
            self._share.heads.add(self)

    def _head_arrived(self) -> None:
        self._head_size = 0
        if self._head_timed:
            self._head_timed = False
            self._share.heads.discard(self)

    def _too_large(self, status: int) -> BadRequestHead:
        what = "request line" if status == 414 else "head"
        return BadRequestHead(
            status, f"the {what} of this request is larger than {self._share.limits.header_size} bytes"
        )

    # Refusals

    def _refuse(self, bad: BadRequestHead) -> None:
        """End the connection with a response, behind those of earlier requests."""
        self._share.warnings.warn("HTTP", "a request was refused with HTTP %d: %s", bad.status, bad.reason)
        self._refusal = bad
        self._head_arrived()
        cycle: RequestResponseCycle | None = self.cycle
        if self._has_body_left and cycle is not None and not cycle.response_complete:
            self._give_up(cycle)
        elif self._has_body_left:  # it was answered before its body had come
            self._end_connection()
        elif self._is_responding:
            self.flow.pause_reading()
        else:
            self._send_refusal()

    def _give_up(self, cycle: RequestResponseCycle) -> None:
        """End a request whose body can't be read, for the application as if the client had gone."""
        if self.pipeline:  # it is the newest, and waits for the responses before it
            self.pipeline.popleft()
            self.flow.pause_reading()
            return
        cycle.disconnected = True
        cycle.message_event.set()
        if cycle.response_started:
            self._end_connection()
        else:
            self._send_refusal()

    def _send_refusal(self) -> None:
        bad = self._refusal
        if bad is not None and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            headers = {"Retry-After": "5"} if bad.status == 503 else {}
            self.transport.write(encode_response(Response(bad.status, bad.reason.encode(), headers)))
            self._end_connection()

    def _end_connection(self) -> None:
        """Close the connection once the peer has closed it, or at the timeout, as :func:`close_gently` says."""
        if close_gently(self.transport):
            self._time_head()
            self.flow.resume_reading()

    # WebSockets

    @property
    def _is_responding(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def on_response_complete(self) -> None:
        """Begin the next request, or leave HTTP, or refuse the next request, or wait for it."""
        if self._refusal is not None and not self.pipeline:
            self._send_refusal()
        elif self._behind_upgrade is None or self.pipeline:
            super().on_response_complete()
        else:
            self.loop.call_soon(self._leave_http, context=self._context)  # not in the context of this request

    def _should_upgrade(self) -> bool:
        """Return whether to ignore the body of a request that names another protocol: the parser leaves it out.

        If the request is not for a WebSocket, it is parsed again without the field that names the protocol.
        """
        return True

    def _renew_parser(self) -> None:
        """Begin with a new parser: the old one reads nothing more behind the last request on a connection."""
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does

    @property
    def _request(self) -> HttpRequest:
        """The request that names another protocol, as far as that concerns its head."""
        headers = Headers.of_bytes(self.headers)
        upgrade = not announces_body(headers) and self.parser.get_http_version() == "1.1"
        method = self.parser.get_method().decode("ascii")
        target = checked_target(method, self.url.decode("ascii"))
        return HttpRequest(target, headers, "", method, upgrade, self._connection.secure)

    def _leave_http(self) -> None:
        """Give the connection to another protocol, once all responses have left; the request for it has come."""
        if self.transport.is_closing() or self._behind_upgrade is None:
            return
        if self._is_responding or self.flow.write_paused:
            self.flow.pause_reading()
            return
        is_for_server = self._share.takes_websocket(self._request)
        if self._share.draining and not is_for_server:
            self._refuse(BadRequestHead(503, "the server is stopping"))
            return
        self._head_arrived()
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        self.connections.discard(self)
        received = self._head_bytes(upgrade=True) + self._behind_upgrade
        if is_for_server:
            protocol = self._connection.resume()
            protocol.connection_made(self.transport)
        else:
            protocol = self._application_websocket()
        del self.parser  # it refers to us: without the cycle both are freed now
        self._behind_upgrade = None
        self.transport.set_protocol(protocol)
        protocol.data_received(received)

    def _application_websocket(self) -> Any:
        make: Any = self.config.ws_protocol_class
        protocol = make(config=self.config, server_state=self.server_state, app_state=self.app_state)
        protocol.connection_made(self.transport)
        protocol.client = self.client
        protocol.scheme = "wss" if self._connection.secure else "ws"
        return protocol

    def _head_bytes(self, *, upgrade: bool) -> bytes:
        """Return the head of the request, with or without its Upgrade field."""
        fields = [b"%b: %b\r\n" % (name, value) for name, value in self.headers if upgrade or name != b"upgrade"]
        line = (self.parser.get_method(), self.url, self.parser.get_http_version().encode("ascii"))
        return b"%b %b HTTP/%b\r\n" % line + b"".join(fields) + b"\r\n"


def _reason_of(error: HttpParserError) -> BadRequestHead:
    """Return what a callback of the parser has raised, or that the request can't be parsed."""
    bad = error.__context__
    return bad if isinstance(bad, BadRequestHead) else BadRequestHead(400, f"this is no HTTP request: {error}")
