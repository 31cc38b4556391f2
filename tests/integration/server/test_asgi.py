"""A server as an ASGI application, called in memory: its connections carry messages, no WebSocket frames, no pings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from crosswire import Close, Heartbeat, Limits, Server, Socket
from crosswire.core.messages import MSGPACK_SUBPROTOCOL
from crosswire.testing import asgi_client
from crosswire.testing.application import EventClient, connect
from crosswire.testing.asgi_client import AsgiClient
from tests.support.aio import wait_until

MSGPACK = {"Sec-WebSocket-Protocol": MSGPACK_SUBPROTOCOL}


def make_server(heartbeat: Heartbeat) -> Server:
    made = Server(limits=Limits(outbox=64 * 1024), heartbeat=heartbeat)
    made.authenticate(lambda handshake: handshake.query.get("id"))

    @made.on("say")
    def say(socket: Socket, data: Any) -> Any:
        socket.send("heard", data)
        return data

    return made


@pytest.fixture
def server() -> Server:
    return make_server(Heartbeat())


def socket_of(server: Server, user: str) -> Socket:
    socket = server.socket_of(user)
    assert socket is not None
    return socket


@asynccontextmanager
async def connect_over_asgi(
    server: Server, user: str = "1", headers: dict[str, str] | None = None
) -> AsyncIterator[EventClient]:
    peer = await asgi_client.connect(server.asgi, f"/?id={user}", list((headers or {}).items()))
    assert isinstance(peer, AsgiClient), peer
    client = EventClient(cast(Any, peer))
    try:
        yield client
    finally:
        await client.close()


@pytest.mark.parametrize("headers", [{}, MSGPACK], ids=["JSON", "MessagePack"])
async def test_events_calls_and_answers(server: Server, headers: dict[str, str]) -> None:
    async with connect(server), connect_over_asgi(server, headers=headers) as client:
        assert await client.call("say", {"text": "grüße"}) == {"text": "grüße"}
        assert (await client.receive("heard")).data == {"text": "grüße"}
        call = asyncio.create_task(socket_of(server, "1").call("ask", 1))
        client.answer(await client.receive("ask"), 2)
        assert await call == 2


async def test_a_broadcast_reaches_connections_with_frames_and_without_in_order(server: Server) -> None:
    async with (
        connect(server) as framed,
        connect_over_asgi(server) as plain,
        connect_over_asgi(server, "/", MSGPACK) as packed,
    ):
        for number in range(10):
            server.everyone.send("news", number)
        for client in (framed, plain, packed):
            assert [(await client.receive("news")).data for _ in range(10)] == list(range(10))


async def test_raw_messages_keep_their_kind(server: Server) -> None:
    received: list[str | bytes] = []
    server.on_message(lambda _socket, raw: received.append(raw))
    async with connect(server), connect_over_asgi(server) as client:
        socket_of(server, "1").send_raw("text €")
        socket_of(server, "1").send_raw(b"\xff")
        assert [await client.peer.receive(), await client.peer.receive()] == ["text €", b"\xff"]
        client.peer.send_text('{"event":"x"}')
        await wait_until(lambda: received == ['{"event":"x"}'])


async def test_a_heartbeat_is_echoed(server: Server) -> None:
    async with connect(server), connect_over_asgi(server) as client:
        client.peer.send_text("")
        assert await client.peer.receive() == ""


async def test_a_client_whose_heartbeats_stop_is_dropped() -> None:
    server, codes = make_server(Heartbeat(interval=0.1, timeout=0.1)), dict[str, int]()

    @server.on_disconnect
    def note(socket: Socket, close: Close) -> None:
        codes[socket.user] = close.code

    async with connect(server), connect_over_asgi(server, "1") as client:
        client.peer.send_text("")
        assert await client.peer.receive() == ""
        await wait_until(lambda: "1" in codes)
        assert codes["1"] == 1006


async def test_a_close_reaches_the_client_behind_what_was_sent(server: Server) -> None:
    async with connect(server), connect_over_asgi(server) as client:
        socket = socket_of(server, "1")
        socket.send("last", 1)
        socket.close(4000, "bye")
        assert (await client.receive("last")).data == 1
        assert await client.closed() == Close(4000, "bye")


async def test_a_client_that_does_not_read_is_dropped(server: Server) -> None:
    closes: list[Close] = []
    server.on_disconnect(lambda _socket, close: closes.append(close))
    async with connect(server), connect_over_asgi(server) as client:
        socket = socket_of(server, "1")
        client.peer.pause_reading()
        socket.send("taken by the ASGI server")
        await asyncio.sleep(0)
        socket.send("large", "x" * 60_000)
        assert socket.buffered > 60_000
        socket.send("more", "x" * 60_000)
        await wait_until(lambda: closes)
        assert closes[0].code == 1013


async def test_a_second_connection_replaces_the_first(server: Server) -> None:
    async with connect(server), connect_over_asgi(server) as first, connect_over_asgi(server):
        assert (await first.closed()).code == 4012
