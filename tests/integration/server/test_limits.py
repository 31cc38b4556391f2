from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import websockets

from crosswire import Close, ConfigError, Limits, Socket
from tests.integration.server.support import (
    BINARY,
    CONTINUATION,
    TEXT,
    HookRecorder,
    client_frame,
    connect,
    make_server,
    raw_connect,
    raw_stream,
    upgrade_request,
)
from tests.support.aio import wait_until


async def test_connections_beyond_the_limit_are_answered_with_503() -> None:
    server = make_server(limits=Limits(connections=2))
    async with server, connect(server, "1") as one, connect(server, "2"):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with connect(server, "3"):
                pass
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"]
        async with raw_stream(server) as plain:
            assert (await plain.request(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 200
        assert await one.rest() == []
        await one.ws.close()
        await wait_until(lambda: len(server.sockets) == 1)
        async with connect(server, "3") as three:
            assert await three.rest() == []


async def test_calls_beyond_the_limit_of_handlers_are_busy_and_events_wait() -> None:
    server, go, running = make_server(limits=Limits(handlers=3)), asyncio.Event(), list[int]()
    recorder = HookRecorder(server)

    @server.on("slow")
    async def slow(socket: Socket, data: int) -> int:
        running.append(data)
        await go.wait()
        return data

    async with server, connect(server, "1") as peer, connect(server, "2") as other:
        for number in range(3):
            await peer.send("slow", number, callbackId=f"s{number}")
        await peer.send("slow", 100)
        assert (await peer.refused("slow", 99))[0] == "BUSY"
        await peer.send("slow", 101)
        assert await peer.rest() == []
        assert running == [0, 1, 2]
        await other.send("slow", 7, callbackId="o")
        await wait_until(lambda: 7 in running)
        go.set()
        assert [(await peer.receive())["payload"] for _ in range(3)] == [0, 1, 2]
        assert (await other.receive())["payload"] == 7
        assert await peer.call("slow", 5) == 5
        assert running == [0, 1, 2, 7, 100, 101, 5]
        assert recorder.errors == []


async def test_a_client_whose_handlers_are_full_is_not_read() -> None:
    limits = Limits(handlers=2, max_message=10_000)
    server, go, done = make_server(limits=limits), asyncio.Event(), list[int]()

    @server.on("slow")
    async def slow(socket: Socket, data: list[Any]) -> None:
        await go.wait()
        done.append(data[0])

    async with server, connect(server, "1") as peer:
        sent = 0

        async def send() -> None:
            nonlocal sent
            for number in range(5000):
                await peer.send("slow", [number, "x" * 4000])
                sent += 1

        sending = asyncio.create_task(send())
        before = -1
        while sent != before:  # until the kernel's buffers and the server's are full
            before = sent
            await asyncio.sleep(0.3)
        assert sent < 4000
        go.set()
        await sending
        await wait_until(lambda: len(done) == 5000, 20)
        assert done == list(range(5000))


@pytest.mark.parametrize("event", ["never waits", "waits", "mixed"])
async def test_a_burst_of_more_events_than_may_be_handled_at_once_loses_nothing(event: str) -> None:
    server, done = make_server(limits=Limits(handlers=3, max_message=10_000)), list[int]()
    recorder = HookRecorder(server)

    @server.on("never waits")
    @server.on("mixed")
    async def note(socket: Socket, data: int) -> None:
        done.append(data)

    @server.on("waits")
    @server.on("mixed")
    async def wait(socket: Socket, data: int) -> None:
        await asyncio.sleep(0.001)
        done.append(data)

    async with server, connect(server, "1") as peer:
        for number in range(300):
            await peer.send(event, number)
        await wait_until(lambda: len(done) == (600 if event == "mixed" else 300))
        assert sorted(set(done)) == list(range(300))
        assert recorder.errors == []


@pytest.mark.parametrize("size", [125, 126, 65535, 65536, 200_000])
async def test_a_message_of_just_the_limit_is_taken_and_one_byte_more_closes(size: int) -> None:
    server, got = make_server(limits=Limits(max_message=size)), list[int]()
    recorder = HookRecorder(server)
    server.on_message(lambda socket, raw: got.append(len(raw)))
    async with server, connect(server) as peer:
        await peer.ws.send("x" * size)
        await peer.ws.send(b"x" * size)
        await peer.ws.send(["x" * (size - 1), "x"])
        assert await peer.rest() == []
        assert got == [size] * 3
        await peer.ws.send("x" * (size + 1))
        assert (await peer.closed()).code == 1009
        await wait_until(lambda: recorder.closes)
        assert recorder.closes[0][1].code == 1009
        assert got == [size] * 3


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_message_that_is_too_long_is_refused_before_it_arrived(opcode: int) -> None:
    server = make_server()
    async with server, raw_connect(server) as peer:
        head = client_frame(opcode, b"x" * (1024 * 1024 + 1))[:1000]
        peer.writer.write(head)
        code, _ = await peer.until_close()
        assert code == 1009


async def test_fragments_that_are_too_long_together_are_refused_before_the_last() -> None:
    server = make_server(limits=Limits(max_message=1000))
    async with server, raw_connect(server) as peer:
        peer.send(TEXT, b"x" * 600, fin=False)
        peer.send(CONTINUATION, b"x" * 401, fin=False)
        code, _ = await peer.until_close()
        assert code == 1009


async def test_too_many_fragments() -> None:
    server, got = make_server(limits=Limits(fragments=10)), list[Any]()
    server.on("say", lambda socket, data: got.append(data))
    async with server, raw_connect(server) as peer:
        text = json.dumps({"event": "say", "payload": "é"}, ensure_ascii=False).encode()
        assert len(text) > 10
        peer.send(TEXT, text[:1], fin=False)
        for byte in text[1:9]:
            peer.send(CONTINUATION, bytes([byte]), fin=False)
        peer.send(CONTINUATION, text[9:])
        await wait_until(lambda: got)
        assert got == ["é"]
        peer.send(TEXT, b"x", fin=False)
        for _ in range(10):
            peer.send(CONTINUATION, b"", fin=False)
        code, _ = await peer.until_close()
        assert code == 1009


async def test_a_handshake_that_takes_too_long() -> None:
    server = make_server(limits=Limits(handshake_timeout=1))  # enough for a peer that is not slow itself
    async with server, raw_stream(server) as silent, raw_stream(server) as slow, connect(server) as peer:
        slow.writer.write(upgrade_request()[:40])
        await silent.gone()
        await slow.gone()
        assert await peer.rest() == []


async def test_a_client_that_does_not_answer_the_close_is_dropped() -> None:
    server = make_server(limits=Limits(close_timeout=0.2))
    recorder = HookRecorder(server)
    async with server, raw_connect(server, "1") as peer:
        recorder.connected[0].close(4000, "bye")
        assert await peer.until_close() == (4000, [])
        await peer.gone()
        await wait_until(lambda: recorder.closes)
        assert recorder.closes == [("1", Close(4000, "bye"))]


async def test_after_our_close_nothing_is_delivered() -> None:
    server, got = make_server(), list[Any]()
    recorder = HookRecorder(server)
    server.on("say", lambda socket, data: got.append(data))
    async with server, raw_connect(server) as peer:
        peer.send_event("say", 1)
        await wait_until(lambda: got)
        recorder.connected[0].close(4000)
        peer.send_event("say", 2)
        assert (await peer.until_close())[0] == 4000
        peer.send(8, (4000).to_bytes(2, "big"))
        await peer.gone()
        assert got == [1]


@pytest.mark.parametrize("name", Limits.__slots__)
@pytest.mark.parametrize("value", [0, -1, "5", True])
def test_limits_are_numbers(name: str, value: Any) -> None:
    with pytest.raises(ConfigError):
        Limits(**{name: value})
