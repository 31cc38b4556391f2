from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute
from starlette.websockets import WebSocket

from crosswire import Close, Limits, Server
from crosswire.testing import socket_peer
from crosswire.testing.socket_peer import SocketPeer
from crosswire.transport.uvicorn_sender import uvicorn_protocol
from tests.support.aio import wait_until
from tests.support.uvicorn_server import running_uvicorn

IMPLEMENTATIONS = ("websockets-sansio", "wsproto")


async def connected(port: int, path: str) -> SocketPeer:
    peer = await socket_peer.connect(("127.0.0.1", port), path)
    assert isinstance(peer, SocketPeer), peer
    return peer


@pytest.mark.parametrize("ws", IMPLEMENTATIONS)
async def test_the_protocol_is_found_behind_a_mount_and_a_route_of_starlette(ws: str) -> None:
    found: list[Any] = []

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        found.append(uvicorn_protocol(send))
        await WebSocket(scope, receive, send).close()

    async def route(websocket: WebSocket) -> None:
        found.append(uvicorn_protocol(websocket.send))
        await websocket.close()

    application = Starlette(routes=[Mount("/mounted", mounted), WebSocketRoute("/route", route)])
    async with running_uvicorn(application, ws=ws) as port:
        for path in ("/mounted/", "/route"):
            await socket_peer.connect(("127.0.0.1", port), path)
    assert [type(each).__name__ for each in found] == [type(found[0]).__name__] * 2
    assert all(hasattr(each, "transport") for each in found)


async def test_a_send_that_a_middleware_has_wrapped_is_used() -> None:
    server, events = Server(), list[str]()
    server.on("say", lambda socket, data: data)

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        async def noted(event: Any) -> None:
            events.append(event["type"])
            await send(event)

        await server.asgi(scope, receive, noted)

    async with server.lifespan(), running_uvicorn(middleware) as port:
        peer = await connected(port, "/")
        peer.send_text('{"event":"say","payload":1,"callbackId":"x"}')
        assert await peer.receive() == '{"payload":1,"callbackId":"x"}'
        peer.close()
        await peer.receive()
    assert events == ["websocket.accept", "websocket.send"]


@pytest.mark.parametrize("ws", IMPLEMENTATIONS)
@pytest.mark.parametrize("compression", [False, True])
async def test_messages_of_every_size_and_kind_arrive(ws: str, compression: bool) -> None:
    server = Server(compression=compression)
    server.on_message(lambda socket, raw: socket.send_raw(raw))
    async with server.lifespan(), running_uvicorn(server.asgi, ws=ws) as port:
        peer = await connected(port, "/")
        for size in (0, 1, 125, 126, 65535, 65536, 300_000):
            peer.send_text("x" * size)
            assert await peer.receive() == "x" * size
            peer.send_binary(b"\xff" * size)
            assert await peer.receive() == b"\xff" * size
        peer.close()
        await peer.receive()


@pytest.mark.parametrize("send", [None, print, [].append, lambda event: None])
def test_any_other_send_has_no_protocol_of_uvicorn(send: Any) -> None:
    assert uvicorn_protocol(send) is None


@pytest.mark.parametrize("ws", IMPLEMENTATIONS)
@pytest.mark.parametrize("compression", [False, True])
@pytest.mark.parametrize("end", ["overflow", "close", "shutdown of uvicorn"])
async def test_uvicorn_keeps_no_connection_of_a_client_that_reads_nothing(ws: str, compression: bool, end: str) -> None:
    closes: list[Close] = []
    server = Server(compression=compression, limits=Limits(outbox=1_000_000, close_timeout=0.3))
    server.on_disconnect(lambda socket, close: closes.append(close))
    async with server.lifespan():
        async with running_uvicorn(server.asgi, ws=ws) as port:
            peer = await connected(port, "/")
            peer.pause_reading()
            await wait_until(lambda: server.sockets)
            (socket,) = server.sockets
            while not (closes or (socket.buffered and end != "overflow")):
                server.everyone.send("news", "x" * 100_000)
                await asyncio.sleep(0)
            if end == "close":
                socket.close(4000)
        # uvicorn waits for its connections before it stops, and the client still reads nothing.
        assert [close.code for close in closes] == [{"overflow": 1013, "close": 4000}.get(end, 1012)]
        peer.abort()
