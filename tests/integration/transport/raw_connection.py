"""Connections of raw bytes to a server, and the frames for them."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from crosswire import Close, Heartbeat, Limits, Server, Socket
from crosswire.core.frame_reader import Frame, FrameReader
from crosswire.core.frames import Opcode
from crosswire.testing.socket_peer import upgrade_request

WAIT_TIMEOUT = 10
_NO_HEARTBEAT = Heartbeat(interval=3600, timeout=3600, text="\0")


def frame(first: int, payload: bytes = b"") -> bytes:
    """Return a masked frame; ``first`` is its whole first byte: FIN, reserved bits and opcode."""
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 1 << 16:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes((first,)) + length + bytes(4) + payload


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(0x88, code.to_bytes(2, "big") + reason)


class RawConnection:
    """A TCP connection to a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> Self:
        self._writer.write(data)
        return self

    async def drain(self) -> None:
        async with asyncio.timeout(WAIT_TIMEOUT):
            await self._writer.drain()

    async def upgrade(self, more: bytes = b"", headers: Iterable[tuple[str, str]] = ()) -> None:
        """Become a WebSocket; ``more`` is sent in one packet with the request."""
        request = upgrade_request(headers=headers) + more
        head = (await self.send(request).read_until(b"\r\n\r\n")).partition(b"\r\n")[0]
        assert head == b"HTTP/1.1 101 Switching Protocols", head

    async def read_until(self, end: bytes) -> bytes:
        async with asyncio.timeout(WAIT_TIMEOUT):
            return await self._reader.readuntil(end)

    async def read_all(self) -> bytes:
        """Read to the end of the connection; raises ConnectionResetError if it was no orderly end."""
        async with asyncio.timeout(WAIT_TIMEOUT):
            return await self._reader.read()

    async def size_of_rest(self) -> int:
        """Read to the end of the connection, orderly or not; return how many bytes came."""
        size = 0
        try:
            async with asyncio.timeout(WAIT_TIMEOUT):
                while data := await self._reader.read(65536):
                    size += len(data)
        except ConnectionResetError:
            pass  # no orderly end, and what had arrived is counted
        return size

    async def frames(self) -> list[Frame]:
        """Read to the end of the connection, which must be the end of a frame."""
        reader = FrameReader()
        reader.feed(await self.read_all())
        found = []
        while (each := reader.next()) is not None:
            found.append(each)
        assert not reader.unread
        return found

    def reset(self) -> None:
        """Drop the connection with an RST."""
        own: socket.socket = self._writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):  # the server dropped it, which is what some tests are about
            await self._writer.wait_closed()


class EchoServer:
    """A server that sends every message back, and notes how connections end."""

    def __init__(self, limits: Limits, **options: Any) -> None:
        self.server = Server(port=0, **{"limits": limits, "heartbeat": _NO_HEARTBEAT, **options})
        self.closes: list[Close] = []
        self.server.on_message(self._echo)
        self.server.on_disconnect(lambda _socket, close: self.closes.append(close))

    @asynccontextmanager
    async def connect(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawConnection]:
        raw = RawConnection(*await asyncio.open_connection("127.0.0.1", self.server.port, ssl=tls))
        try:
            yield raw
        finally:
            await raw.close()

    @staticmethod
    def _echo(socket: Socket, raw: str | bytes) -> None:
        socket.send_raw(raw)


@asynccontextmanager
async def echo_server(limits: Limits | None = None, **options: Any) -> AsyncIterator[EchoServer]:
    echo = EchoServer(limits or Limits(close_timeout=2), **options)
    async with echo.server:
        yield echo


def text(payload: bytes) -> Frame:
    return Frame(Opcode.TEXT, payload)


def code_of(last: Frame) -> int:
    assert last.opcode is Opcode.CLOSE, last
    return int.from_bytes(last.payload[:2], "big")
