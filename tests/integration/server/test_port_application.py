"""An ASGI application on the port of a server: plain requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar import Request as LitestarRequest
from litestar import get as litestar_get
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from crosswire import ConfigError, Limits, Server
from tests.integration.server.support import WAIT_TIMEOUT, RawPeer, connect, make_server, raw_stream, upgrade_request

BIG = 3_000_000
"""Bytes of a body that is larger than all buffers on its way."""


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"hello {request.query_params.get('name', 'you')}")


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(await request.body())


async def size(request: Request) -> JSONResponse:
    sizes = [len(part) async for part in request.stream()]
    return JSONResponse({"size": sum(sizes), "parts": len(sizes)})


async def stream(request: Request) -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(BIG // 50_000):
            yield b"%d" % (number % 10) * 50_000

    return StreamingResponse(parts(), media_type="text/plain")


async def scope(request: Request) -> JSONResponse:
    names = ("type", "http_version", "method", "scheme", "path", "root_path")
    state = {name: value for name, value in request.scope["state"].items() if isinstance(value, str)}
    return JSONResponse(
        {
            **{name: request.scope[name] for name in names},
            "client": request.scope["client"] and request.scope["client"][0],
            "query": request.scope["query_string"].decode(),
            "state": state,
        }
    )


async def broken(request: Request) -> PlainTextResponse:
    raise ZeroDivisionError


def make_application(**options: Any) -> Starlette:
    methods = ["GET", "POST", "PUT"]
    routes = [
        Route("/hello", hello),
        Route("/echo", echo, methods=methods),
        Route("/size", size, methods=methods),
        Route("/stream", stream),
        Route("/scope", scope),
        Route("/broken", broken),
    ]
    return Starlette(routes=routes, **options)


@asynccontextmanager
async def serving(app: Any = None, **options: Any) -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    """Start a server with an application on its port; yield it and a client."""
    server = make_server(app=make_application() if app is None else app, **options)
    async with (
        server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=WAIT_TIMEOUT, trust_env=False) as client,
    ):
        yield server, client


async def response(peer: RawPeer, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send a request; return status, fields and body of a response that says its length."""
    status, fields = await peer.request(request)
    body = await asyncio.wait_for(peer.reader.readexactly(int(fields.get("content-length", 0))), WAIT_TIMEOUT)
    return status, fields, body


async def test_requests_go_to_the_application_and_websockets_to_the_server() -> None:
    async with serving() as (server, client):
        assert (await client.get("/hello?name=Ann")).text == "hello Ann"
        assert (await client.get("/nowhere")).status_code == 404
        assert (await client.post("/echo", content=b"x" * 1000)).content == b"x" * 1000
        async with connect(server, "ann", path="/anywhere"):
            assert [socket.user for socket in server.sockets] == ["ann"]


async def test_the_server_answers_its_own_pages() -> None:
    server = make_server(app=make_application())
    server.get("/page", lambda: "of the server")
    async with server, httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
        assert (await client.get("/page")).text == "of the server"
        assert (await client.get("/hello")).text == "hello you"
        assert (await client.get("/healthz")).json() == {"status": "ok"}


async def test_the_servers_own_pages_get_bodies() -> None:
    async with serving(publish_key="secret-123456") as (server, client):
        got: list[Any] = []
        async with connect(server, "ann") as ann:
            answer = await client.post(
                "/publish",
                headers={"Authorization": "Bearer secret-123456"},
                json={"user": "ann", "event": "news", "data": "x" * 100_000},
            )
            assert answer.status_code == 200, answer.text
            got.append(await ann.event())
        assert got == [("news", "x" * 100_000)]
        assert (await client.post("/publish", json={})).status_code == 401


async def test_a_connection_is_kept_for_further_requests() -> None:
    async with serving() as (server, _), raw_stream(server) as peer:
        for number in range(3):
            status, fields, body = await response(peer, b"GET /hello?name=%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
            assert (status, body) == (200, b"hello %d" % number)
            assert "connection" not in fields
            assert fields["date"].endswith("GMT")


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serving() as (server, _), raw_stream(server) as peer:
        peer.writer.write(b"".join(b"GET /hello?name=%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(20)))
        bodies = [(await response(peer, b""))[2] for _ in range(20)]
        assert bodies == [b"hello %d" % number for number in range(20)]


async def test_a_head_in_parts() -> None:
    request = b"GET /hello?name=Ann HTTP/1.1\r\nHost: a\r\nX-Field: 1\r\n\r\n"
    async with serving() as (server, _), raw_stream(server) as peer:
        for _ in range(2):
            for byte in request[:-1]:
                peer.writer.write(bytes([byte]))
                await asyncio.sleep(0)
            assert (await response(peer, request[-1:]))[2] == b"hello Ann"


async def test_head_and_http_1_0() -> None:
    async with serving() as (server, client):
        answer = await client.head("/hello")
        assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "9", b"")
        async with raw_stream(server) as peer:
            status, fields, body = await response(peer, b"GET /scope HTTP/1.0\r\n\r\n")
            assert status == 200
            assert b'"http_version":"1.0"' in body
            assert fields.get("connection", "close") == "close"  # older uvicorns leave it out
            assert await peer.body() == b""


async def test_a_large_upload_and_a_large_download() -> None:
    async with serving() as (_, client):
        assert (await client.post("/size", content=b"x" * BIG)).json()["size"] == BIG

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(BIG // 50_000):
                yield b"y" * 50_000

        answer = (await client.post("/size", content=chunks())).json()
        assert answer["size"] == BIG
        assert answer["parts"] > 10  # streamed, and not collected first
        text = (await client.get("/stream")).text
        assert len(text) == BIG
        assert text[-1] == "9"


async def test_an_upload_that_the_application_does_not_read_is_held_back() -> None:
    begin = asyncio.Event()

    async def lazy(request: Request) -> PlainTextResponse:
        await begin.wait()
        return PlainTextResponse(str(len(await request.body())))

    app = Starlette(routes=[Route("/lazy", lazy, methods=["POST"])])
    async with serving(app) as (server, _), raw_stream(server) as peer:
        total = 50_000_000
        peer.writer.write(b"POST /lazy HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % total)
        sent = 0
        while sent < total:
            peer.writer.write(b"x" * 500_000)
            sent += 500_000
            try:
                await asyncio.wait_for(peer.writer.drain(), 0.2)
            except TimeoutError:
                break
        assert sent < total, "all of it was taken though nobody reads it"
        begin.set()
        peer.writer.write(b"x" * (total - sent))
        assert (await response(peer, b""))[2] == b"%d" % total


async def test_expect_100_continue() -> None:
    async with serving() as (server, _), raw_stream(server) as peer:
        head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        assert await peer.request(head) == (100, {})
        assert (await response(peer, b"ok"))[2] == b"ok"


async def test_the_scope_of_a_request() -> None:
    async with serving() as (_, client):
        answer = (await client.get("/scope?a=%20b")).json()
        assert answer == {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/scope",
            "root_path": "",
            "client": "127.0.0.1",
            "query": "a=%20b",
            "state": {},
        }


async def test_an_application_that_fails_answers_500(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as (_, client):
        assert (await client.get("/broken")).status_code == 500
        assert (await client.get("/hello")).status_code == 200
    assert "ZeroDivisionError" in caplog.text


async def test_a_client_that_goes_away_ends_its_request() -> None:
    disconnected = asyncio.Event()

    async def read(request: Request) -> PlainTextResponse:
        try:
            await request.body()
        except ClientDisconnect:
            disconnected.set()
        return PlainTextResponse("")

    app = Starlette(routes=[Route("/read", read, methods=["POST"])])
    async with serving(app) as (server, _):
        async with raw_stream(server) as peer:
            peer.writer.write(b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
            await peer.writer.drain()
        await asyncio.wait_for(disconnected.wait(), WAIT_TIMEOUT)


async def test_what_is_no_http_is_refused() -> None:
    async with serving() as (server, client):
        async with raw_stream(server) as peer:
            assert (await peer.request(b"hello\r\n\r\n"))[0] == 400
        async with raw_stream(server) as peer:
            await response(peer, b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await peer.request(b"hello\r\n\r\n"))[0] == 400
            await peer.gone()
        assert (await client.get("/hello")).status_code == 200


async def test_heads_are_limited_in_size_and_time() -> None:
    limits = Limits(header_size=1000, handshake_timeout=0.3)
    async with serving(limits=limits) as (server, client):
        async with raw_stream(server) as peer:
            assert (await peer.request(b"GET /hello HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1000 + b"\r\n\r\n"))[0] == 431
        request = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
        async with raw_stream(server) as peer:
            await response(peer, request)
            peer.writer.write(b"GET /hello HTTP/1.1\r\nHost: a\r\nX: ")
            await peer.writer.drain()
            await client.get("/hello")  # the server has read the first part meanwhile
            assert (await peer.request(b"x" * 1200))[0] == 431
        async with raw_stream(server) as peer:
            await response(peer, request)
            peer.writer.write(request[:-1])
            await peer.gone()  # within the handshake timeout
        async with raw_stream(server) as peer:
            await response(peer, request)
            peer.writer.write(request[:-1])
            await peer.writer.drain()
            await client.get("/hello")
            assert (await response(peer, request[-1:]))[0] == 200


@pytest.mark.parametrize("app", ["main:app", 5, Starlette, lambda environ, start_response: []])
async def test_what_is_no_application_is_refused(app: Any) -> None:
    with pytest.raises(ConfigError, match="app="):
        Server(app=app)


async def test_without_an_application_websockets_elsewhere_are_refused() -> None:
    server = make_server(path=["/ws", "/also here"])
    async with server:
        for target, status in (("/ws?id=a", 101), ("/also%20here", 101), ("/", 404), ("/ws/", 404), ("/ws/x", 404)):
            async with raw_stream(server) as peer:
                assert (await peer.request(upgrade_request(target)))[0] == status, target


async def test_other_frameworks() -> None:
    @litestar_get("/hello")
    async def hello(request: LitestarRequest[Any, Any, Any]) -> str:
        return f"hello from Litestar, {request.url.path}"

    app = Litestar([hello], logging_config=None)
    async with serving(app) as (server, client):
        assert (await client.get("/hello")).text == "hello from Litestar, /hello"
        async with connect(server, "ann"):
            assert [socket.user for socket in server.sockets] == ["ann"]


async def test_a_route_of_the_application_may_hand_a_websocket_over() -> None:
    async def route(websocket: WebSocket) -> None:
        await server.accept(websocket, user="zoe")

    app = Starlette(routes=[WebSocketRoute("/live/{room}", route)])
    async with serving(app, path="/ws") as (server, _), connect(server, path="/live/1000") as zoe:
        server.on("say", lambda socket, data: [socket.user, socket.handshake.path, data])
        assert await zoe.call("say", "hi") == ["zoe", "/live/1000", "hi"]
