"""A WebSocket client over a real socket, for tests; it can send raw bytes too."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Iterable
from typing import Any, cast

from crosswire.core.frames import Opcode, close_payload, encode_frame
from crosswire.core.headers import Headers
from crosswire.errors import NotConnected
from crosswire.transport.inbox import Inbox, PeerEvent
from crosswire.transport.interface import Response

KEY = b64encode(bytes(range(16))).decode()
_END = b"\r\n\r\n"
_MASK = b"\x5a\xa5\x0f\xf0"
_MASKED = 0x80
_SWITCHING = 101


def upgrade_request(target: str = "/", headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """Return the HTTP request that asks for a WebSocket."""
    fields = {
        "Host": "test",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
    }
    lines = [f"{name}: {value}" for name, value in [*fields.items(), *headers]]
    return "\r\n".join([f"GET {target} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def masked(frame: bytes) -> bytes:
    """Return a server's frame as a client sends it (RFC 6455, section 5.3)."""
    length = frame[1]
    start = {126: 4, 127: 10}.get(length, 2)
    payload = frame[start:]
    mask = (_MASK * (len(payload) // 4 + 1))[: len(payload)]
    hidden = (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(payload), "big")
    return frame[:1] + bytes((_MASKED | length,)) + frame[2:start] + _MASK + hidden


class SocketPeer(asyncio.Protocol):
    """The client's side of a WebSocket over a socket; it answers Pings and a Close itself, unless it is paused.

    Made by :func:`connect`. No method raises for a server that is gone.

    Attributes:
        subprotocol: the one that the server chose, or None.
        headers: of the server's answer.
    """

    def __init__(self) -> None:
        self._inbox = Inbox(self._answer, self._regulate)
        self._head = bytearray()
        self._response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport
        self._upgraded = False
        self.subprotocol: str | None = None
        self.headers = Headers()

    def write(self, data: bytes) -> None:
        """Send bytes without a WebSocket frame."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def send_text(self, text: str) -> None:
        self._answer(Opcode.TEXT, text.encode())

    def send_binary(self, data: bytes) -> None:
        self._answer(Opcode.BINARY, data)

    def ping(self, payload: bytes = b"") -> None:
        """Send a Ping; the Pong will be received."""
        self._answer(Opcode.PING, payload)

    def pong(self, payload: bytes = b"") -> None:
        """Send a Pong that nobody asked for."""
        self._answer(Opcode.PONG, payload)

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Start the closing handshake; None for a Close without a code. Any code can be tried."""
        self._answer(Opcode.CLOSE, close_payload(code, reason))

    def abort(self) -> None:
        """Drop the connection without a Close."""
        self._transport.abort()

    def pause_reading(self) -> None:
        """Stop reading from the connection."""
        self._inbox.pause()
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on reading from the connection."""
        self._inbox.resume()

    async def receive(self, *, timeout: float = 5) -> PeerEvent:
        """Return the next event from the server; see :meth:`Inbox.receive`."""
        return await self._inbox.receive(timeout=timeout)

    async def upgrade(self, request: bytes) -> Response | None:
        """Send the upgrade request; return None once it is accepted, or the response that refuses it.

        Raises:
            NotConnected: the connection was lost.
        """
        self.write(request)
        async with asyncio.timeout(5):
            response = await self._response
        return None if response.status == _SWITCHING else response

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of the connected socket."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Feed the inbox, or collect the response to the upgrade request."""
        if self._upgraded:
            self._inbox.feed(data)
            self._regulate()
            return
        self._head += data
        head, end, rest = bytes(self._head).partition(_END)
        if end and not self._response.done():
            self._take_response(head, rest)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the inbox, and fail an upgrade that is waiting."""
        if not self._response.done():
            self._response.set_exception(NotConnected(f"the connection was lost before the answer was whole: {exc}"))
        self._inbox.end()

    def _take_response(self, head: bytes, rest: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        fields = Headers(headers.items())
        status = int(first.split()[1])
        if status == _SWITCHING:
            self._upgraded = True
            self.headers = fields
            self.subprotocol = fields.get("sec-websocket-protocol")
            self._inbox.feed(rest)
        elif len(rest) < int(fields.get("content-length", "0")):
            return
        self._response.set_result(Response(status, rest, headers))

    def _answer(self, opcode: Opcode, payload: bytes) -> None:
        self.write(masked(encode_frame(opcode, payload)))

    def _regulate(self) -> None:
        """Pause the transport while the inbox is full or paused, so that the kernel holds the server back."""
        if self._transport.is_closing():
            return
        if self._inbox.reading:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()


async def connect(
    address: tuple[str, int] | str,
    target: str = "/",
    headers: Iterable[tuple[str, str]] = (),
    *,
    tls: ssl.SSLContext | None = None,
) -> SocketPeer | Response:
    """Open a WebSocket over a socket; return the client's side of it, or the response that refuses it.

    Args:
        address: host and port, or the path of a Unix socket.
        target: path and query.
        headers: added to those that ask for the upgrade.
        tls: trusts the server's certificate.
    """
    loop, name = asyncio.get_running_loop(), "localhost" if tls is not None else None
    options: dict[str, Any] = {"ssl": tls, "server_hostname": name}
    if isinstance(address, str):
        _, peer = await loop.create_unix_connection(SocketPeer, address, **options)
    else:
        _, peer = await loop.create_connection(SocketPeer, *address, **options)
    refused: Response | None = Response(500)
    try:
        refused = await peer.upgrade(upgrade_request(target, headers))
    finally:
        if refused is not None:
            peer.abort()
    return refused or peer
