"""Bytes that have come, and that nobody has read."""

from __future__ import annotations

import asyncio

from crosswire.transport.unread_bytes import has_unread
from tests.support.aio import wait_until
from tests.support.loops import on_every_loop


@on_every_loop
async def test_bytes_are_unread_until_they_are_read() -> None:
    accepted: asyncio.Future[asyncio.StreamReader] = asyncio.get_running_loop().create_future()
    transports: list[asyncio.Transport] = []

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transports.append(writer.transport)  # type: ignore[arg-type]
        accepted.set_result(reader)

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        reader = await accepted
        transport = transports[0]
        assert not has_unread(transport)
        transport.pause_reading()
        writer.write(b"late")
        await wait_until(lambda: has_unread(transport))
        transport.resume_reading()
        assert await reader.readexactly(4) == b"late"
        assert not has_unread(transport)
        writer.close()
        transport.abort()


def test_a_transport_without_a_socket_has_nothing_unread() -> None:
    assert not has_unread(asyncio.Transport())
