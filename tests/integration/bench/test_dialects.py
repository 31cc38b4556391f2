"""The load generator speaks to servers in each of its dialects."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from typing import Any

import pytest
from bench.native import build
from websockets.asyncio.server import ServerConnection, serve

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="building the load generator needs a C compiler")


class JsonRoom:
    """A server that broadcasts and answers, with spaces in its JSON, as many write it."""

    def __init__(self) -> None:
        self.clients: set[ServerConnection] = set()

    async def opened(self, client: ServerConnection) -> None:
        self.clients.add(client)

    async def take(self, client: ServerConnection, text: str) -> None:
        message = json.loads(text)
        if "callbackId" in message:
            await client.send(json.dumps({"payload": "yes", "callbackId": message["callbackId"]}))
        else:
            await self.tell_all(json.dumps({"event": "news", "payload": message["payload"]}))

    async def tell_all(self, text: str) -> None:
        for client in list(self.clients):
            await client.send(text)


class SocketIoRoom(JsonRoom):
    """A server of Engine.IO 4 and Socket.IO 5, which sends a ping to whoever has just connected."""

    def __init__(self) -> None:
        super().__init__()
        self.pongs = self.admitted = 0

    async def opened(self, client: ServerConnection) -> None:
        assert client.request is not None
        assert client.request.path.startswith("/socket.io/?EIO=4&transport=websocket&id=")
        await client.send('0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000}')

    async def take(self, client: ServerConnection, text: str) -> None:
        kind, rest = text[:2], text[2:]
        if text == "3":
            self.pongs += 1
        elif kind == "40":
            self.clients.add(client)
            self.admitted += 1
            await client.send('40{"sid":"b"}')
            await client.send("2")
        else:
            assert kind == "42"
            await self.take_event(client, rest)

    async def take_event(self, client: ServerConnection, packet: str) -> None:
        id, _, array = packet.partition("[")
        _event, payload = json.loads("[" + array)
        if id:
            await client.send(f'43{id}["yes"]')
        else:
            await self.tell_all("42" + json.dumps(["news", payload]))


async def loaded(room: JsonRoom, mode: str, *options: str) -> dict[str, Any]:
    """Run the load generator at a room, and return its figures."""

    async def chat(client: ServerConnection) -> None:
        await room.opened(client)
        try:
            async for text in client:
                assert isinstance(text, str)
                await room.take(client, text)
        finally:
            room.clients.discard(client)

    program = await asyncio.to_thread(build, "loadgen")
    async with serve(chat, "127.0.0.1", 0, compression=None) as server:
        (listening,) = server.sockets
        where = ("--port", str(listening.getsockname()[1]), "--server-pid", str(os.getpid()))
        times = () if mode == "connect" else ("--seconds", "0.1", "--warmup", "0", "--deadline", "40")
        process = await asyncio.create_subprocess_exec(
            program, mode, *where, *times, *options, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    figures: dict[str, Any] = json.loads(output)
    return figures


@pytest.mark.parametrize(("dialect", "room"), [("json", JsonRoom), ("socket.io", SocketIoRoom)])
@pytest.mark.parametrize("mode", ["fanout", "calls"])
async def test_messages_and_calls_are_counted_with_their_latency(dialect: str, room: type[JsonRoom], mode: str) -> None:
    figures = await loaded(room(), mode, "--dialect", dialect, "--clients", "3", "--inflight", "2")
    assert figures["per_second"] > 0
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]


async def test_a_client_of_socket_io_answers_pings() -> None:
    room = SocketIoRoom()
    await loaded(room, "calls", "--dialect", "socket.io", "--clients", "3", "--inflight", "1")
    assert room.pongs == 3


async def test_a_client_of_socket_io_is_open_when_the_server_has_let_it_in() -> None:
    room = SocketIoRoom()
    figures = await loaded(room, "connect", "--dialect", "socket.io", "--clients", "5")
    assert figures["connections"] == 5
    assert room.admitted == 5
