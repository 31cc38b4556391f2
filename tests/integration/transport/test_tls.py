from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from collections import Counter
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from crosswire import ConfigError, Limits, Server
from crosswire.runtime import environment
from crosswire.transport.buffered_protocol import feed_buffered_protocol
from crosswire.transport.picows_reader import PicowsReader
from crosswire.transport.proxy_header_protocol import ProxyHeaderProtocol
from crosswire.transport.read_turns import LONG_TURN
from tests.integration.transport.raw_connection import RawConnection
from tests.support.aio import wait_until
from tests.support.certificates import tls_contexts
from tests.support.loops import on_every_loop


async def test_a_tls_handshake_that_takes_too_long_is_dropped_too(tmp_path: Path) -> None:
    server_tls, _ = tls_contexts(tmp_path)
    async with Server(port=0, tls=server_tls, limits=Limits(handshake_timeout=0.1)) as server:
        raw = RawConnection(*await asyncio.open_connection("127.0.0.1", server.port))
        assert await raw.read_all() == b""
        await raw.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.MAXIMUM_SUPPORTED])
async def test_a_context_without_a_certificate_is_refused_at_the_start(version: ssl.TLSVersion) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.maximum_version = version
    with pytest.raises(ConfigError, match="load_cert_chain"):
        await Server(port=0, tls=tls).start()


async def test_a_context_that_asks_clients_for_a_certificate_is_accepted(tmp_path: Path) -> None:
    server_tls, _ = tls_contexts(tmp_path)
    server_tls.verify_mode = ssl.CERT_REQUIRED
    async with Server(port=0, tls=server_tls) as server:
        assert server.running


def hello(trusting: ssl.SSLContext) -> bytes:
    """Return the bytes with which a client begins its handshake."""
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        trusting.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


@on_every_loop
async def test_a_client_may_send_the_beginning_of_its_handshake_byte_by_byte(tmp_path: Path) -> None:
    server_tls, trusting = tls_contexts(tmp_path)
    loop = asyncio.get_running_loop()
    async with Server(port=0, tls=server_tls) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as own:
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            own.setblocking(False)
            for each in hello(trusting):
                await loop.sock_sendall(own, bytes((each,)))
                await asyncio.sleep(0)
            assert await loop.sock_recv(own, 1) == b"\x16"  # its answer, and no alert


async def test_of_many_handshakes_that_begin_at_once_each_turn_of_the_loop_does_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_tls, trusting = tls_contexts(tmp_path)
    loop = asyncio.get_running_loop()
    seconds, turn, done = 0.0, 0, Counter[int]()

    def feed_slowly(transport: asyncio.Transport, protocol: object, data: bytes) -> None:
        nonlocal seconds
        seconds += LONG_TURN / 2
        done[turn] += 1
        feed_buffered_protocol(transport, protocol, data)

    def count_turns() -> None:
        nonlocal turn
        turn += 1
        if done.total() < 8:
            loop.call_soon(count_turns)

    monkeypatch.setattr("crosswire.transport.tls_start.feed_buffered_protocol", feed_slowly)
    monkeypatch.setattr(environment, "perf_counter", lambda: seconds)
    async with Server(port=0, tls=server_tls) as server:
        sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(8)]
        await wait_until(lambda: len(server._listener._handshakes) == 8)  # type: ignore[attr-defined]
        count_turns()
        first = hello(trusting)
        for each in sockets:
            each.send(first)
        for each in sockets:
            each.setblocking(False)
            assert await loop.sock_recv(each, 1) == b"\x16"
            each.close()
    assert max(done.values()) <= 3  # two that have just come fill a turn, and one that has waited
    assert done.total() == 8


async def test_what_began_tls_is_freed_with_its_connection_and_not_by_the_garbage_collector(tmp_path: Path) -> None:
    server_tls, trusting = tls_contexts(tmp_path)
    gc.collect()
    gc.disable()
    try:
        async with Server(port=0, tls=server_tls) as server:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", server.port, ssl=trusting, server_hostname="localhost"
            )
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 200")
            writer.close()
            await wait_until(lambda: not any(type(kept) is ProxyHeaderProtocol for kept in gc.get_objects()))
    finally:
        gc.enable()


@on_every_loop
async def test_a_websocket_over_tls_is_freed_when_it_is_closed_and_not_by_the_garbage_collector(tmp_path: Path) -> None:
    server_tls, trusting = tls_contexts(tmp_path)
    gc.collect()
    gc.disable()
    try:
        async with Server(port=0, tls=server_tls) as server:
            server.on("hello", lambda socket, data: "hello")
            for texts in (['{"event":"hello","payload":1}'], ['{"event":"hello",', '"payload":1}']):  # one in pieces
                async with connect(f"wss://localhost:{server.port}/", ssl=trusting) as client:
                    await client.send(texts)
                await wait_until(lambda: not any(type(kept) is PicowsReader for kept in gc.get_objects()))
    finally:
        gc.enable()
