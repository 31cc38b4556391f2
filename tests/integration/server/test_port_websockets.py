"""WebSockets of the server and of the application on one port, after other requests of a connection too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from crosswire import Server, Socket
from tests.integration.server.support import (
    TEXT,
    WAIT_TIMEOUT,
    RawPeer,
    client_frame,
    connect,
    make_server,
    raw_stream,
    upgrade_request,
    url_of,
)
from tests.support.aio import wait_until
from tests.support.certificates import tls_contexts

HELLO = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
PROXY_HEADER = b"PROXY TCP4 5.6.7.8 127.0.0.1 1000 2000\r\n"
SAY = client_frame(TEXT, b'{"event": "say", "payload": "hi", "callbackId": "1"}')


class Application:
    """An application with a slow page, a streamed one, and a WebSocket of its own."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.begun = asyncio.Event()
        routes = [
            Route("/hello", self.hello, methods=["GET", "POST"]),
            Route("/echo", self.echo, methods=["GET", "POST"]),
            Route("/slow", self.slow),
            Route("/stream", self.stream),
            Route("/client", self.client),
            WebSocketRoute("/own", self.own),
        ]
        self.app = Starlette(routes=routes)

    async def hello(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    async def echo(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse(await request.body())

    async def slow(self, request: Request) -> PlainTextResponse:
        self.begun.set()
        await self.go_on.wait()
        return PlainTextResponse("slow")

    async def stream(self, request: Request) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(40):
                yield b"x" * 100_000

        return StreamingResponse(parts())

    async def client(self, request: Request) -> JSONResponse:
        return JSONResponse([request.client and request.client.host, request.url.scheme])

    async def own(self, websocket: WebSocket) -> None:
        await websocket.accept()
        host = websocket.client.host if websocket.client else None
        await websocket.send_json([websocket.url.scheme, host])
        async for text in websocket.iter_text():
            await websocket.send_text(text.upper())


@asynccontextmanager
async def serving(application: Application | None = None, **options: Any) -> AsyncIterator[Server]:
    application = application or Application()
    server = make_server(**{"app": application.app, "path": "/ws", **options})

    @server.on("say")
    def say(socket: Socket, data: str) -> str:
        return f"{socket.user} said {data}"

    async with server:
        yield server


async def answer_to(peer: RawPeer) -> bytes:
    """Return the next message in a text frame."""
    opcode, payload = await peer.frame()
    assert opcode == TEXT
    return payload


async def body_of(peer: RawPeer, request: bytes = b"") -> bytes:
    status, fields = await peer.request(request)
    assert status == 200
    return await asyncio.wait_for(peer.reader.readexactly(int(fields["content-length"])), WAIT_TIMEOUT)


async def test_a_websocket_after_several_requests() -> None:
    async with serving() as server, raw_stream(server) as peer:
        for _ in range(3):
            assert await body_of(peer, HELLO) == b"hello"
        assert (await peer.request(upgrade_request("/ws?id=ann")))[0] == 101
        peer.writer.write(SAY)
        assert b"ann said hi" in await answer_to(peer)
        assert [socket.user for socket in server.sockets] == ["ann"]


@pytest.mark.parametrize("before", [0, 1, 3])
async def test_frames_right_behind_the_request(before: int) -> None:
    async with serving() as server, raw_stream(server) as peer:
        peer.writer.write(HELLO * before + upgrade_request("/ws?id=ann") + SAY)
        for _ in range(before):
            assert await body_of(peer) == b"hello"
        assert (await peer.request(b""))[0] == 101
        assert b"ann said hi" in await answer_to(peer)


async def test_a_websocket_waits_for_the_response_before() -> None:
    application = Application()
    async with serving(application) as server, raw_stream(server) as peer:
        peer.writer.write(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + upgrade_request("/ws?id=ann"))
        await asyncio.wait_for(application.begun.wait(), WAIT_TIMEOUT)
        peer.writer.write(SAY)
        await peer.writer.drain()
        assert not server.sockets
        application.go_on.set()
        assert await body_of(peer) == b"slow"
        assert (await peer.request(b""))[0] == 101
        assert b"ann said hi" in await answer_to(peer)


async def test_a_websocket_waits_until_a_large_response_has_left() -> None:
    async with serving() as server, raw_stream(server, receive_buffer=4096) as peer:
        peer.writer.write(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n" + upgrade_request("/ws?id=ann") + SAY)
        assert (await peer.request(b""))[0] == 200
        size = 0
        while length := int(await asyncio.wait_for(peer.reader.readline(), WAIT_TIMEOUT), 16):
            await asyncio.wait_for(peer.reader.readexactly(length + 2), WAIT_TIMEOUT)
            size += length
        assert (size, await peer.reader.readline()) == (4_000_000, b"\r\n")
        assert (await peer.request(b""))[0] == 101
        assert b"ann said hi" in await answer_to(peer)


async def test_a_refused_websocket_after_a_request() -> None:
    async with serving() as server, raw_stream(server) as peer:
        assert await body_of(peer, HELLO) == b"hello"
        status, _ = await peer.request(upgrade_request("/ws", sec_websocket_version="12"))
        assert status == 426
        await peer.gone()


@pytest.mark.parametrize("before", [0, 2])
async def test_the_applications_own_websockets(before: int) -> None:
    async with serving() as server, raw_stream(server) as peer:
        for _ in range(before):
            assert await body_of(peer, HELLO) == b"hello"
        peer.writer.write(upgrade_request("/own"))
        assert (await peer.request(b""))[0] == 101
        assert await answer_to(peer) == b'["ws","127.0.0.1"]'
        peer.send(TEXT, b"text")
        assert await answer_to(peer) == b"TEXT"
        assert not server.sockets


async def test_frames_right_behind_a_request_to_the_application() -> None:
    async with serving() as server, raw_stream(server) as peer:
        peer.writer.write(upgrade_request("/own") + client_frame(TEXT, b"text"))
        assert (await peer.request(b""))[0] == 101
        assert await answer_to(peer) == b'["ws","127.0.0.1"]'
        assert await answer_to(peer) == b"TEXT"


async def test_clients_of_both_kinds_at_once() -> None:
    async with serving() as server:
        async with connect(server, "ann", path="/ws") as ann, websockets.connect(url_of(server, "/own")) as own:
            assert await ann.call("say", "hi") == "ann said hi"
            assert await own.recv() == '["ws","127.0.0.1"]'
            await own.send("text")
            assert await own.recv() == "TEXT"
        with pytest.raises(websockets.InvalidStatus, match="403"):
            await websockets.connect(url_of(server, "/nowhere"))


async def test_without_a_path_the_applications_routes_are_its_own() -> None:
    async with serving(path=None) as server:
        async with connect(server, "ann", path="/hello") as ann, websockets.connect(url_of(server, "/own")) as own:
            assert await ann.call("say", "hi") == "ann said hi"
            assert await own.recv() == '["ws","127.0.0.1"]'
        async with raw_stream(server) as peer:
            assert await body_of(peer, HELLO) == b"hello"
            assert (await peer.request(upgrade_request("/own")))[0] == 101
            assert await answer_to(peer) == b'["ws","127.0.0.1"]'


async def test_with_a_path_the_applications_route_there_is_not_reached() -> None:
    async with serving(path="/own") as server, connect(server, "ann", path="/own") as ann:
        assert await ann.call("say", "hi") == "ann said hi"


UPGRADES = [
    b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nab",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nab",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
]


@pytest.mark.parametrize("request_", UPGRADES)
async def test_requests_for_other_protocols_are_plain_requests(request_: bytes) -> None:
    body = b"ab" if b"ab" in request_ else b""
    async with serving(path=None) as server, raw_stream(server) as peer:
        for parts in (request_ + request_ + HELLO,), (request_[:-1], request_[-1:] + request_ + HELLO):
            for part in parts:
                peer.writer.write(part)
                await peer.writer.drain()
            assert [await body_of(peer) for _ in range(3)] == [body, body, b"hello"]


async def test_a_tunnel_is_refused() -> None:
    async with serving(path=None) as server:
        for before in (b"", HELLO):
            async with raw_stream(server) as peer:
                if before:
                    assert await body_of(peer, before) == b"hello"
                assert (await peer.request(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"))[0] == 501


async def test_over_tls(tmp_path: Path) -> None:
    tls, trusting = tls_contexts(tmp_path)
    async with serving(tls=tls) as server:
        base = f"https://127.0.0.1:{server.port}"
        async with httpx.AsyncClient(base_url=base, verify=trusting, trust_env=False) as client:
            assert (await client.get("/client")).json() == ["127.0.0.1", "https"]
        async with websockets.connect(url_of(server, "/own", "wss"), ssl=trusting) as own:
            assert await own.recv() == '["wss","127.0.0.1"]'
        async with connect(server, path="/ws", uri=url_of(server, "/ws?id=ann", "wss"), ssl=trusting) as ann:
            assert await ann.call("say", "hi") == "ann said hi"
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=trusting)
        peer = RawPeer(reader, writer)
        peer.writer.write(HELLO + upgrade_request("/ws?id=bob") + SAY)
        assert await body_of(peer) == b"hello"
        assert (await peer.request(b""))[0] == 101
        assert b"bob said hi" in await answer_to(peer)
        writer.close()
        await wait_until(lambda: not server.sockets)


async def test_over_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    async with serving(host=f"unix:{path}") as server:
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
            assert (await client.get("/client")).json() == [None, "http"]
            assert (await client.get("/client", headers={"X-Forwarded-For": "1.2.3.4"})).json() == [None, "http"]
        async with websockets.unix_connect(str(path), "ws://a/ws?id=ann"):
            await wait_until(lambda: len(server.sockets) == 1)


async def test_trusted_proxies_name_the_client() -> None:
    fields = {"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https"}
    async with serving(trusted_proxies=["127.0.0.1"]) as server:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
            assert (await client.get("/client", headers=fields)).json() == ["1.2.3.4", "https"]
            assert (await client.get("/client")).json() == ["127.0.0.1", "http"]
        async with websockets.connect(url_of(server, "/own"), additional_headers=fields) as own:
            assert await own.recv() == '["wss","1.2.3.4"]'


async def test_others_can_not_name_the_client() -> None:
    fields = {"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https"}
    async with (
        serving(trusted_proxies=["10.0.0.0/8"]) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client,
    ):
        assert (await client.get("/client", headers=fields)).json() == ["127.0.0.1", "http"]


async def test_the_proxy_protocol_names_the_client() -> None:
    async with serving(trusted_proxies=["127.0.0.1"], proxy_protocol=True) as server:
        async with raw_stream(server) as peer:
            peer.writer.write(PROXY_HEADER)
            assert await body_of(peer, b"GET /client HTTP/1.1\r\nHost: a\r\n\r\n") == b'["5.6.7.8","http"]'
            peer.writer.write(upgrade_request("/ws?id=ann"))
            assert (await peer.request(b""))[0] == 101
            assert [socket.handshake.remote for socket in server.sockets] == ["5.6.7.8"]
        async with raw_stream(server) as peer:
            peer.writer.write(PROXY_HEADER + upgrade_request("/own"))
            assert (await peer.request(b""))[0] == 101
            assert await answer_to(peer) == b'["ws","5.6.7.8"]'


async def test_a_request_that_a_proxy_robbed_of_its_upgrade_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as server, raw_stream(server) as peer:
        assert (await peer.request(upgrade_request("/ws", connection="", upgrade="")))[0] == 404
    assert "a proxy in front has to pass these on" in caplog.text
    assert "was handed to the application" in caplog.text
