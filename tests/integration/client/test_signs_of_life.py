"""Bytes that move on a connection are signs of life; a connection without them is dropped."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from websockets.asyncio.server import ServerConnection

from crosswire.errors import NotConnected
from crosswire.testing.proxy import TcpProxy
from tests.integration.client.fake_server import FakeServer
from tests.integration.client.helpers import HookRecorder, quick_client
from tests.support.aio import wait_until

TIMEOUT = 0.4
SLOWLY = [0.1] * 15  # together much longer than the timeout


def head(opcode: int, size: int) -> bytes:
    """The head of a frame that is not the last of its message if the opcode does not say so."""
    return bytes([opcode, 127]) + struct.pack("!Q", size)


async def one_large_message(connection: ServerConnection) -> None:
    payload = b'{"event":"large","payload":"' + b"x" * 150_000 + b'"}'
    connection.transport.write(head(0x81, len(payload)))
    step = len(payload) // len(SLOWLY) + 1
    for index, seconds in enumerate(SLOWLY):
        connection.transport.write(payload[index * step : (index + 1) * step])
        await asyncio.sleep(seconds)


async def fragments(connection: ServerConnection) -> None:
    connection.transport.write(b"\x01\x1b" + b'{"event":"large","payload":')
    for seconds in SLOWLY:
        connection.transport.write(b"\x00\x01 ")
        await asyncio.sleep(seconds)
    connection.transport.write(b"\x80\x05" + b'"xx"}')


async def pings(connection: ServerConnection) -> None:
    for seconds in SLOWLY:
        connection.transport.write(b"\x89\x00")
        await asyncio.sleep(seconds)
    await connection.send('{"event":"large","payload":""}')


async def small_messages(connection: ServerConnection) -> None:
    for seconds in SLOWLY:
        await connection.send('{"event":"small"}')
        await asyncio.sleep(seconds)
    await connection.send('{"event":"large","payload":""}')


@pytest.mark.parametrize("slowly", [one_large_message, fragments, pings, small_messages])
async def test_arriving_bytes_are_a_sign_of_life(slowly: object) -> None:
    """The server does not read heartbeats until it has sent a long message."""

    arrived: list[object] = []
    async with FakeServer() as server:
        server.script = slowly  # type: ignore[assignment]
        client = quick_client(server.url, ping_interval=0.05, pong_timeout=TIMEOUT)
        client.on("large", arrived.append)
        client.on("small", lambda: None)
        recorder = HookRecorder(client)
        await client.connect()
        await wait_until(lambda: arrived, 10)
        await wait_until(lambda: client.latency is not None)
        assert recorder.events == ["open"]
        await client.close()


@pytest.mark.parametrize("after", [0, 5, 10])
async def test_a_server_that_stops_in_the_middle_of_a_message_is_detected(after: int) -> None:
    stopped: list[float] = []

    async def stop(connection: ServerConnection) -> None:
        connection.transport.write(head(0x81, 1_000_000))
        for seconds in SLOWLY[:after]:
            connection.transport.write(b" " * 1000)
            await asyncio.sleep(seconds)
        stopped.append(time.perf_counter())
        await connection.wait_closed()

    async with FakeServer() as server:
        server.script = stop
        client = quick_client(server.url, ping_interval=0.05, pong_timeout=TIMEOUT, retry_limit=0)
        recorder = HookRecorder(client)
        await client.connect()
        await wait_until(lambda: recorder.closes, 10)
        assert recorder.events[:3] == ["open", "pong timeout", "close"]
        assert stopped
        assert time.perf_counter() - stopped[0] < 5 * TIMEOUT
        await client.close()


@asynccontextmanager
async def slow_line(port: int, rate: int) -> AsyncIterator[int]:
    """A proxy that takes ``rate`` bytes a second from clients, and holds as few as it can; yields its port."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause: float) -> None:
        with suppress(OSError):
            while data := await reader.read(8192):
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(len(data) * pause)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ours, theirs = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, theirs, 1 / rate), pump(ours, writer, 0))

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    listener.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(serve, sock=listener, limit=8192)
    async with server:
        yield listener.getsockname()[1]


async def test_leaving_bytes_are_a_sign_of_life() -> None:
    """A heartbeat behind a long message waits until that has left."""

    async with FakeServer() as server, slow_line(server.port, 1_000_000) as port:
        server.answers["upload"] = "done"
        client = quick_client(f"ws://127.0.0.1:{port}/", ping_interval=0.05, pong_timeout=TIMEOUT)
        recorder = HookRecorder(client)
        await client.connect()
        assert await client.call("upload", "x" * 2_500_000, timeout=20) == "done"
        assert recorder.events == ["open"]
        await client.close()


async def test_bytes_sent_after_the_heartbeat_are_no_sign_of_life() -> None:
    """The kernel accepts bytes for a process that hangs."""

    async with FakeServer() as server, TcpProxy("127.0.0.1", server.port) as proxy:
        client = quick_client(f"ws://127.0.0.1:{proxy.port}/", ping_interval=0.05, pong_timeout=TIMEOUT, retry_limit=0)
        recorder = HookRecorder(client)
        await client.connect()
        proxy.blackhole()
        began = time.perf_counter()
        while not recorder.closes:
            with suppress(NotConnected):  # at the end
                client.send("say", "x" * 1000)
            await asyncio.sleep(0.01)
            assert time.perf_counter() - began < 8 * TIMEOUT
        assert recorder.events[1] == "pong timeout"
        await client.close()


async def test_a_dead_connection_with_a_full_outbox_is_detected() -> None:
    async with FakeServer() as server, TcpProxy("127.0.0.1", server.port) as proxy:
        client = quick_client(f"ws://127.0.0.1:{proxy.port}/", ping_interval=0.05, pong_timeout=TIMEOUT, retry_limit=0)
        recorder = HookRecorder(client)
        await client.connect()
        proxy.hold()
        client.send("say", "x" * 12_000_000)
        await wait_until(lambda: recorder.closes, 20)
        assert recorder.events[1] == "pong timeout"
        await client.close()
