"""picows' parser of a connection's frames, past its handling of the HTTP upgrade, which is ours."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, cast

from picows import WSAutoPingStrategy, WSListener, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener

# The server function of picows does not show the connection to the upgrade decision, which then lacks the peer's
# address, and it fails on a Unix socket. The protocol that it makes does neither; it is a C class without types.
from picows.picows import WSProtocol  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]

from crosswire.core import deflate
from crosswire.transport.interface import Accepted
from crosswire.transport.picows_log import PICOWS_LOG

READ_BUFFER_SIZE = 2048
"""Bytes of picows' read buffer of a new connection."""
INITIAL_ROOM = READ_BUFFER_SIZE - 256
"""Bytes of it that picows fills."""

Parser = Any
"""picows' ``WSProtocol``, which has no types."""

_REQUEST = (
    b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: %b\r\n\r\n"
)
"""The fields that picows reads; it answers with the digest of the key."""
_ANY_KEY = b"AAAAAAAAAAAAAAAAAAAAAA=="


def make_parser(
    listener: WSListener, transport: Any, max_message: int, accepted: Accepted | None = None, key: bytes = _ANY_KEY
) -> Parser:
    """Return picows' parser, which has read a request of our own that has only what it needs, and answered it.

    Args:
        listener: gets the frames.
        transport: takes the answer.
        max_message: bytes of the longest frame.
        accepted: what the answer grants; None if the transport discards it.
        key: of the client's request.
    """
    response = WSUpgradeResponseWithListener(_SwitchingProtocols(accepted or _NOTHING), listener)
    parser = _parser_of(response, max_message)
    parser.connection_made(transport)
    request = _REQUEST % key
    parser.get_buffer(-1)[: len(request)] = request
    parser.buffer_updated(len(request))
    return parser


def _parser_of(response: WSUpgradeResponseWithListener, max_message: int) -> Parser:
    def grant(_request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        return response

    return WSProtocol(
        None,  # host and port: a client's
        None,  # path: a client's
        False,  # is_client_side
        grant,
        PICOWS_LOG,
        True,  # disconnect_on_exception
        None,  # websocket_handshake_timeout: the request has arrived
        False,  # enable_auto_ping: ours share one timer
        10,  # auto_ping_idle_timeout
        10,  # auto_ping_reply_timeout
        WSAutoPingStrategy.PING_WHEN_IDLE,
        False,  # enable_auto_pong: ours pass the outbox, which is bounded
        max_message,
        None,  # extra_headers: a client's
        READ_BUFFER_SIZE,
    )


class _SwitchingProtocols(WSUpgradeResponse):
    """Response that grants an upgrade, faster than picows' own, which is for any response.

    picows adds the digest of the key.
    """

    def __init__(self, accepted: Accepted) -> None:
        self.status = HTTPStatus.SWITCHING_PROTOCOLS
        self.headers: Any = dict(accepted.headers)  # picows only adds a field
        if accepted.subprotocol is not None:
            self.headers["Sec-WebSocket-Protocol"] = accepted.subprotocol
        if accepted.window_bits:
            self.headers["Sec-WebSocket-Extensions"] = deflate.response(accepted.window_bits)

    def to_bytes(self) -> bytearray:
        fields = "".join([f"{name}: {value}\r\n" for name, value in self.headers.items()])
        return bytearray(_SWITCHING % fields.encode("latin-1"))


_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%b\r\n"
_NOTHING = Accepted(cast(Any, None))
