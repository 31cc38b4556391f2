from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection

from crosswire.core.messages import MSGPACK_SUBPROTOCOL
from crosswire.transport import client_connection
from crosswire.transport.client_connection import ConnectTarget
from tests.integration.client.fake_server import FakeServer
from tests.integration.client.helpers import HookRecorder, quick_client
from tests.support.aio import wait_until

FRAGMENTS = 1000
"""Fragments that a message may have here: the real number takes a second, and several on a busy machine."""


@dataclass
class Point:
    x: int
    y: int = 0


async def test_a_frame_that_is_no_message_is_shown_to_on_message_and_ignored() -> None:
    raws: list[str | bytes] = []
    seen: list[Any] = []
    odd = ["not json", "[]", "null", '{"event": 1}', "{}", '{"callbackId": 5}', '{"event": "$x"}', "[" * 100_000]
    async with FakeServer() as server, quick_client(server.url) as client:
        recorder = HookRecorder(client)
        client.on_message(raws.append)
        client.on("news", seen.append)
        for raw in odd:
            await server.last.send(raw)
        await server.last.send("")
        await server.last.send(b'{"event": "news", "payload": "in a binary frame"}')
        await wait_until(lambda: seen)
        assert raws == [*odd, b'{"event": "news", "payload": "in a binary frame"}']
        assert seen == ["in a binary frame"]
        assert recorder.events == []


async def test_fragments_are_joined() -> None:
    seen: list[Any] = []
    async with FakeServer() as server, quick_client(server.url) as client:
        client.on("news", seen.append)
        text = '{"event": "news", "payload": "größer"}'
        await server.last.send(list(text))
        await server.last.send([text[:5].encode(), text[5:].encode()])
        await wait_until(lambda: len(seen) == 2)
        assert seen == ["größer", "größer"]


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([b"\x81\x02\xc3\x28"], 1007),
        ([b"\x01\x01\xc3", b"\x80\x01\x28"], 1007),
        ([b"\x80\x01x"], 1002),
        ([b"\x01\x01x", b"\x81\x01x"], 1002),
        ([b"\xc1\x01x"], 1002),
        ([b"\x83\x01x"], 1002),
        ([b"\x82\x7f" + (1 << 30).to_bytes(8, "big")], 1009),
        ([b"\x88\x02\x03\xe9"], 1001),
        ([b"\x88\x00"], 1005),
        ([b"\x01\x01x", b"\x88\x02\x03\xe9"], 1001),
        ([b"\x82\x7f" + b"\x7f" + b"\xff" * 7], 1009),
        ([b"\x82\x7f" + b"\xff" * 8], 1009),
        ([b"\x81\x81\x00\x00\x00\x00x"], 1002),
        ([b"\x89\x7e\x00\x7e" + bytes(126)], 1002),
        ([b"\x09\x01x"], 1002),
        ([b"\x88\x01\x03"], 1002),
        ([b"\x88\x02\x03\xed"], 1002),
        ([b"\x88\x03\x03\xe8\xff"], 1007),
        ([b"\x01\x00" + b"\x00\x00" * FRAGMENTS], 1009),
    ],
    ids=[
        "text",
        "split text",
        "continuation",
        "nested",
        "reserved bit",
        "opcode",
        "too big",
        "close",
        "empty close",
        "close inside a message",
        "2^63-1 bytes",
        "2^64-1 bytes",
        "masked",
        "long ping",
        "fragmented ping",
        "close of one byte",
        "close 1005",
        "close without UTF-8",
        "too many fragments",
    ],
)
async def test_a_breach_of_the_protocol_closes_with_its_code(
    frames: list[bytes], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_connection, "MAX_FRAGMENTS", FRAGMENTS)

    async def script(connection: ServerConnection) -> None:
        if len(server.connections) == 1:
            for frame in frames:
                connection.transport.write(frame)

    async with FakeServer() as server:
        server.script = script
        client = quick_client(server.url)
        recorder = HookRecorder(client)
        await client.connect()
        await wait_until(lambda: recorder.count("open") == 2)
        assert recorder.closes[0].code == code
        await client.close()


async def test_a_ping_of_the_server_is_answered() -> None:
    async with FakeServer() as server, quick_client(server.url):
        pong = await server.last.ping(b"are you there")
        await asyncio.wait_for(pong, 5)


async def test_messages_right_behind_the_upgrade_are_handled() -> None:
    order: list[str] = []

    async def script(connection: ServerConnection) -> None:
        await connection.send('{"event": "welcome"}')

    async with FakeServer() as server:
        server.script = script
        client = quick_client(server.url)
        client.on_open(lambda: order.append("open"))
        client.on("welcome", lambda: order.append("welcome"))
        client.on("welcome", lambda: client.send("thanks"))
        async with client:
            await wait_until(lambda: server.events() == ["thanks"])
        assert order == ["open", "welcome"]


async def test_msgpack_when_the_server_agrees() -> None:
    seen: list[Any] = []
    async with FakeServer(msgpack=True) as server:
        server.answers["say"] = {"blob": b"\x00\xff"}
        async with quick_client(server.url, subprotocols=[MSGPACK_SUBPROTOCOL], ping_interval=0.01) as client:
            pongs: list[float] = []
            client.on_pong(pongs.append)
            client.on_message(seen.append)
            client.on("ask", lambda data: data)
            assert await client.call("say", b"raw") == {"blob": b"\x00\xff"}
            assert server.messages[0]["payload"] == b"raw"
            await server.send({"event": "ask", "payload": 1, "callId": "7"})
            await wait_until(lambda: server.messages[-1] == {"callId": "7", "payload": 1})
            await wait_until(lambda: pongs)
            assert all(isinstance(msgspec.msgpack.decode(raw), dict) for raw in seen)


async def test_json_when_the_server_knows_no_msgpack() -> None:
    async with FakeServer() as server:
        server.answers["say"] = 1
        async with quick_client(server.url, subprotocols=[MSGPACK_SUBPROTOCOL]) as client:
            assert await client.call("say") == 1


async def test_a_server_that_does_not_read_is_dropped_before_memory_is_full() -> None:
    async with FakeServer() as server:
        client = quick_client(server.url, retry_limit=0)
        client._targets._template = ConnectTarget("", outbox=1 << 20)
        recorder = HookRecorder(client)
        await client.connect()
        server.last.transport.pause_reading()
        for _ in range(1000):
            if recorder.closes:
                break
            client.send("flood", "x" * 100_000)
            await asyncio.sleep(0)
        await wait_until(lambda: recorder.closes)
        assert recorder.closes[0].code == 1006
        assert "does not read" in recorder.closes[0].reason
