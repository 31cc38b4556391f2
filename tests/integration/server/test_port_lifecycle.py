"""The start and the stop of an application on the port of a server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from crosswire import ConfigError, Server
from tests.integration.server.support import WAIT_TIMEOUT, RawPeer, connect, make_server, raw_stream, url_of
from tests.support.aio import wait_until

HELLO = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"


class Application:
    """An application with a lifespan, a page that waits, and a WebSocket."""

    def __init__(self, **options: Any) -> None:
        self.log: list[str] = []
        self.go_on = asyncio.Event()
        self.begun = asyncio.Event()
        self.cancelled = False
        routes = [Route("/hello", self.hello), Route("/slow", self.slow), WebSocketRoute("/own", self.own)]
        self.app = Starlette(routes=routes, **{"lifespan": self.lifespan, **options})

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[dict[str, str]]:
        self.log.append("up")
        yield {"word": "from the lifespan"}
        self.log.append("down")

    async def hello(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse(getattr(request.state, "word", "no state"))

    async def slow(self, request: Request) -> PlainTextResponse:
        self.begun.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return PlainTextResponse("slow")

    async def own(self, websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)


async def body_of(peer: RawPeer, request: bytes = b"") -> bytes:
    status, fields = await peer.request(request)
    assert status == 200
    return await asyncio.wait_for(peer.reader.readexactly(int(fields["content-length"])), WAIT_TIMEOUT)


async def status_of(server: Server, path: str) -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"http://127.0.0.1:{server.port}{path}")).status_code


async def test_the_lifespan_lies_around_the_hooks_and_inside_the_cluster() -> None:
    application = Application()
    server = make_server(app=application.app)
    log = application.log
    server.on_start(lambda: log.append("on_start"))
    server.on_listening(lambda: log.append("on_listening"))
    server.on_stop(lambda: log.append("on_stop"))
    for _ in range(2):
        log.clear()
        async with server, raw_stream(server) as peer:
            assert await body_of(peer, HELLO) == b"from the lifespan"
        assert log == ["up", "on_start", "on_listening", "on_stop", "down"]


async def test_a_lifespan_may_use_the_server() -> None:
    names: list[str] = []

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        server.everyone.send("news")
        names.extend(server.cluster.nodes)
        yield
        server.everyone.send("news")

    server = make_server(app=Starlette(lifespan=lifespan))
    async with server:
        assert names == ["test"]


async def test_a_lifespan_that_fails_ends_the_start(caplog: pytest.LogCaptureFixture) -> None:
    started: list[bool] = []

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if not started:
            raise OSError("the database is away")
        yield

    server = make_server(app=Starlette(lifespan=lifespan))
    with pytest.raises(ConfigError, match="did not start: OSError: the database is away"):
        await server.start()
    assert not server.running
    assert "Traceback" in caplog.text
    started.append(True)
    async with server:
        assert await status_of(server, "/healthz") == 200


async def test_an_error_after_the_lifespan_undoes_it() -> None:
    application = Application()
    server = make_server(app=application.app)

    @server.on_start
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await server.start()
    assert application.log == ["up", "down"]


async def test_a_start_that_is_cancelled_ends_the_lifespan() -> None:
    log: list[str] = []

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        log.append("begun")
        try:
            await asyncio.sleep(WAIT_TIMEOUT)
            yield
        finally:
            log.append("ended")

    server = make_server(app=Starlette(lifespan=lifespan))
    starting = asyncio.create_task(server.start())
    await wait_until(lambda: log)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert log == ["begun", "ended"]


async def test_an_application_without_a_lifespan() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async with make_server(app=app) as server:
        assert await status_of(server, "/") == 204


async def test_a_lifespan_that_ends_badly_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        raise OSError("can't close")

    async with make_server(app=Starlette(lifespan=lifespan)):
        pass
    assert "did not shut down well: OSError: can't close" in caplog.text


async def test_without_a_port_there_is_no_application() -> None:
    application = Application()
    server = make_server(app=application.app)
    await server.start(listen=False)
    await server.stop()
    assert application.log == []


async def test_a_stop_closes_idle_connections_and_waits_for_requests() -> None:
    application = Application()
    server = make_server(app=application.app)
    await server.start()
    async with raw_stream(server) as idle, raw_stream(server) as busy, raw_stream(server) as silent:
        await body_of(idle, HELLO)
        busy.writer.write(SLOW)
        await asyncio.wait_for(application.begun.wait(), WAIT_TIMEOUT)
        stopping = asyncio.create_task(server.stop(drain=600))
        await idle.gone()
        assert not stopping.done()
        assert await body_of(silent, HELLO) == b"from the lifespan"  # it was connected before the stop
        await silent.gone()
        application.go_on.set()
        status, fields = await busy.request(b"")
        assert (status, await busy.body()) == (200, b"slow")
        assert fields.get("connection", "close") == "close"  # older uvicorns leave it out
        await asyncio.wait_for(stopping, 20)  # and not only when all the time is over
    assert application.log == ["up", "down"]


async def test_a_stop_cuts_requests_that_take_too_long(caplog: pytest.LogCaptureFixture) -> None:
    application = Application()
    server = make_server(app=application.app)
    await server.start()
    async with raw_stream(server) as busy:
        busy.writer.write(SLOW)
        await asyncio.wait_for(application.begun.wait(), WAIT_TIMEOUT)
        await asyncio.wait_for(server.stop(), 20)
        await busy.gone()
    assert application.cancelled
    assert "1 requests were still at work" in caplog.text
    assert application.log == ["up", "down"]


async def test_a_hurried_stop_cuts_requests_at_once() -> None:
    application = Application()
    server = make_server(app=application.app)
    await server.start()
    async with raw_stream(server) as busy:
        busy.writer.write(SLOW)
        await asyncio.wait_for(application.begun.wait(), WAIT_TIMEOUT)
        stopping = asyncio.create_task(server.stop(drain=600))
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(stopping, 20)
        await busy.gone()
    assert application.cancelled
    assert application.log == ["up", "down"]


async def test_a_stop_ends_websockets_of_both_kinds() -> None:
    application = Application()
    server = make_server(app=application.app, path="/ws")
    await server.start()
    async with websockets.connect(url_of(server, "/own")) as own, connect(server, "ann", path="/ws") as ann:
        await own.send("text")
        assert await own.recv() == "text"
        await server.stop()
        await asyncio.wait_for(own.wait_closed(), WAIT_TIMEOUT)
        assert own.close_code == 1012
        assert (await ann.closed()).code == 1001
    assert application.log == ["up", "down"]


async def test_a_request_may_stop_the_server() -> None:
    async def stop(request: Request) -> PlainTextResponse:
        await server.stop()
        return PlainTextResponse("stopped")

    server = make_server(app=Starlette(routes=[Route("/stop", stop)]))
    await server.start()
    async with raw_stream(server) as peer:
        peer.writer.write(b"GET /stop HTTP/1.1\r\nHost: a\r\n\r\n")
        await wait_until(lambda: not server.running)
        await peer.gone()
        await server.stop()  # it has begun already, and is waited for


async def test_requests_are_logged_by_uvicorns_logger(caplog: pytest.LogCaptureFixture) -> None:
    async with make_server(app=Application().app) as server:
        with caplog.at_level(logging.INFO, "uvicorn.access"):
            await status_of(server, "/hello?name=Ann")
        assert '"GET /hello?name=Ann HTTP/1.1" 200' in caplog.text
    caplog.clear()
    async with make_server(app=Application().app, access_log=False) as server:
        with caplog.at_level(logging.INFO, "uvicorn.access"):
            await status_of(server, "/hello")
        assert not [record for record in caplog.records if record.name == "uvicorn.access"]
