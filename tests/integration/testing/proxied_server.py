"""A server behind a proxy, and its clients, for tests of the proxy."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from crosswire.testing.proxy import ProxiedConnection, TcpProxy

WAIT_TIMEOUT = 10
MAX_BUFFERED = 64 * 1024 * 1024
"""Bytes that no buffers on the way take."""


class Peer:
    """A client or server at an end of a proxied connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self, size: int) -> bytes:
        async with asyncio.timeout(WAIT_TIMEOUT):
            return await self.reader.readexactly(size)

    async def rest(self) -> bytes:
        async with asyncio.timeout(WAIT_TIMEOUT):
            return await self.reader.read()

    async def is_reset(self) -> bool:
        try:
            await self.rest()
        except ConnectionResetError:
            return True
        return False

    def reset(self) -> None:
        own = self.writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    @property
    def waiting(self) -> int:
        return self.writer.transport.get_write_buffer_size()  # type: ignore[no-any-return,attr-defined,unused-ignore]


class ProxiedServer:
    """A server behind a proxy, and the clients of the proxy."""

    def __init__(self) -> None:
        self.proxy: TcpProxy
        self.arrived: asyncio.Queue[Peer] = asyncio.Queue()
        self._peers: list[Peer] = []

    async def client(self) -> Peer:
        async with asyncio.timeout(WAIT_TIMEOUT):
            peer = Peer(*await asyncio.open_connection("127.0.0.1", self.proxy.port))
        self._peers.append(peer)
        return peer

    async def pair(self) -> tuple[Peer, Peer, ProxiedConnection]:
        """Connect a client; return it, the server's end, and the proxied connection between them."""
        client = await self.client()
        async with asyncio.timeout(WAIT_TIMEOUT):
            server = await self.arrived.get()
        return client, server, self.proxy.links[-1]

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._peers.append(Peer(reader, writer))
        self.arrived.put_nowait(self._peers[-1])

    async def end(self) -> None:
        """Abort all connections; some may have been reset by the proxy already."""
        for peer in self._peers:
            peer.writer.transport.abort()
        await asyncio.gather(*(peer.writer.wait_closed() for peer in self._peers), return_exceptions=True)


@asynccontextmanager
async def proxied_server() -> AsyncIterator[ProxiedServer]:
    proxied = ProxiedServer()
    listener = await asyncio.start_server(proxied.serve, "127.0.0.1", 0)
    try:
        async with TcpProxy("127.0.0.1", listener.sockets[0].getsockname()[1]) as proxied.proxy:
            yield proxied
    finally:
        await proxied.end()
        listener.close()
        await listener.wait_closed()


async def send_until_stuck(sender: Peer) -> int:
    """Send until nothing more is taken: not by the kernels, and not by who is to read."""
    sent = 0
    while sender.waiting == 0:
        sender.send(bytes(1024 * 1024))
        sent += 1024 * 1024
        assert sent < MAX_BUFFERED, "something takes all that is sent"
        await asyncio.sleep(0)
    return sent
