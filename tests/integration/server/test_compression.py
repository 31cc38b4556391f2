from __future__ import annotations

import os
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.typing import Subprotocol

from crosswire import Close, Limits, Server
from tests.integration.server.support import (
    BINARY,
    CONTINUATION,
    TEXT,
    HookRecorder,
    Peer,
    connect,
    make_server,
    raw_connect,
)
from tests.support.aio import wait_until

OFFER = "permessage-deflate; client_max_window_bits"


@asynccontextmanager
async def compressing(server: Server, user: str, **options: Any) -> AsyncIterator[Peer]:
    async with connect(server, user, **{"compression": "deflate", **options}) as peer:
        assert [extension.name for extension in peer.ws.protocol.extensions] == ["permessage-deflate"]
        yield peer


def deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


async def test_messages_are_compressed_both_ways() -> None:
    server = make_server(compression=True)
    server.on("echo", lambda socket, data: data)
    async with server, compressing(server, "1") as peer:
        for text in ("", "short", "long " * 1000, "é漢🎉" * 50_000, os.urandom(100_000).hex()):
            for _ in range(2):
                assert await peer.call("echo", text) == text
        await peer.send_text("")
        assert await peer.receive_frame() == ""


async def test_only_long_messages_are_compressed() -> None:
    server = make_server(compression=True)
    async with server, raw_connect(server, sec_websocket_extensions=OFFER) as peer:
        server.everyone.send("n", "x" * 50_000)
        opcode, payload = await peer.frame()
        assert opcode == 0x40 | TEXT  # RSV1
        assert len(payload) < 1000
        plain = zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")
        assert plain == b'{"event":"n","payload":"' + b"x" * 50_000 + b'"}'
        server.everyone.send("n", "x")
        assert await peer.frame() == (TEXT, b'{"event":"n","payload":"x"}')


async def test_audiences_with_and_without_compression() -> None:
    server = make_server(compression=True)
    msgpack = [Subprotocol("crosswire.msgpack")]
    async with (
        server,
        compressing(server, "1") as one,
        connect(server, "2") as two,
        compressing(server, "3", subprotocols=msgpack) as three,
    ):
        for size in (10, 1000, 100_000):
            server.everyone.send("n", "x" * size)
            assert await one.event() == await two.event() == ("n", "x" * size)
            assert isinstance(await three.receive_frame(), bytes)


@pytest.mark.parametrize(
    "factory",
    [
        ClientPerMessageDeflateFactory(client_max_window_bits=9),
        ClientPerMessageDeflateFactory(client_max_window_bits=True),
        ClientPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True),
        ClientPerMessageDeflateFactory(client_no_context_takeover=True),
        ClientPerMessageDeflateFactory(server_max_window_bits=9),
        ClientPerMessageDeflateFactory(server_max_window_bits=12, client_max_window_bits=10),
    ],
    ids=["9 bits", "any bits", "no takeover", "client takes nothing over", "server's 9 bits", "12 and 10 bits"],
)
async def test_accepted_offers_of_clients(factory: ClientPerMessageDeflateFactory) -> None:
    server = make_server(compression=True)
    server.on("echo", lambda socket, data: data)
    async with server, compressing(server, "1", compression=None, extensions=[factory]) as peer:
        for size in (10, 1000, 200_000):
            assert await peer.call("echo", "xy" * size) == "xy" * size


@pytest.mark.parametrize(
    ("compression", "offer"),
    [
        (False, OFFER),
        (True, "permessage-deflate; server_max_window_bits=8"),
        (True, "x-webkit-deflate-frame"),
        (True, ""),
    ],
)
async def test_without_an_agreement_nothing_is_compressed(compression: bool, offer: str) -> None:
    server = make_server(compression=compression)
    recorder = HookRecorder(server)
    async with server, raw_connect(server, sec_websocket_extensions=offer) as peer:
        server.everyone.send("n", "x" * 1000)
        assert (await peer.frame())[0] == TEXT
        peer.send(TEXT, deflated(b'{"event":"x"}'), rsv1=True)
        assert (await peer.until_close())[0] == 1002
        peer.writer.close()
        await wait_until(lambda: recorder.closes)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("fragments", [1, 3])
async def test_a_decompression_bomb_closes_with_1009(opcode: int, fragments: int) -> None:
    server = make_server(compression=True, limits=Limits(max_message=1_000_000))
    recorder = HookRecorder(server)
    bomb = deflated(b"0" * 100_000_000)
    assert len(bomb) < 200_000
    async with server, raw_connect(server, "1", sec_websocket_extensions=OFFER) as peer, connect(server, "2") as other:
        tracemalloc.start()
        try:
            if fragments == 1:
                peer.send(opcode, bomb, rsv1=True)
            else:
                peer.send(opcode, bomb[:1000], fin=False, rsv1=True)
                peer.send(CONTINUATION, bomb[1000:2000], fin=False)
                peer.send(CONTINUATION, bomb[2000:])
            assert (await peer.until_close())[0] == 1009
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 10_000_000  # decompression was stopped at the limit
        assert await other.rest() == []
        peer.writer.close()
        await wait_until(lambda: recorder.closes)
        assert recorder.closes[0][1].code == 1009


async def test_a_message_of_just_the_limit_when_decompressed_is_taken() -> None:
    server, got = make_server(compression=True, limits=Limits(max_message=10_000)), list[int]()
    server.on_message(lambda socket, raw: got.append(len(raw)))
    async with server, compressing(server, "1") as peer:
        await peer.ws.send("x" * 10_000)
        await peer.ws.send(["x" * 5_000, "x" * 5_000])
        assert await peer.rest() == []
        assert got == [10_000, 10_000]
        await peer.ws.send("x" * 10_001)
        assert (await peer.closed()).code == 1009


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", deflated(b"\xff\xfe")])
async def test_invalid_compressed_text_closes_with_1007(data: bytes) -> None:
    server = make_server(compression=True)
    async with server, raw_connect(server, sec_websocket_extensions=OFFER) as peer:
        peer.send(TEXT, data, rsv1=True)
        assert (await peer.until_close())[0] == 1007


async def test_a_close_is_never_compressed() -> None:
    server = make_server(compression=True)
    async with server, compressing(server, "1") as peer:
        await server.everyone.close(4000, "x" * 123)
        assert await peer.closed() == Close(4000, "x" * 123)
