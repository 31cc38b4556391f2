from __future__ import annotations

import json
from typing import Any

import pytest
import websockets

from crosswire import ConfigError, Handshake, Response
from crosswire.testing.redis_process import RedisProcess
from crosswire.testing.reserved_port import ReservedPort
from tests.integration.server.support import TEXT, WAIT_TIMEOUT, connect, make_server, raw_stream, upgrade_request
from tests.support.aio import wait_until


async def get(server: Any, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    async with raw_stream(server) as peer:
        status, headers = await peer.request(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return status, headers, await peer.body()


async def test_answers_of_a_route() -> None:
    server = make_server()

    @server.get("/text")
    def text() -> str:
        return "é"

    server.get("/bytes", lambda: b"\x00\xff")
    server.get("/json", lambda request: {"path": request.path, "q": request.query})
    server.get("/response", lambda: Response(418, b"tea", {"Content-Type": "text/tea", "X-A": "b"}))
    server.get("/empty", lambda: Response(204))
    async with server, connect(server) as peer:
        status, headers, body = await get(server, "/text")
        assert (status, body.decode()) == (200, "é")
        assert headers["content-length"] == "2"
        assert headers["content-type"].startswith("text/plain")
        status, headers, body = await get(server, "/bytes")
        assert (status, headers["content-type"], body) == (200, "application/octet-stream", b"\x00\xff")
        status, headers, body = await get(server, "/json?a=1&b=%26")
        assert (status, headers["content-type"]) == (200, "application/json")
        assert json.loads(body) == {"path": "/json", "q": {"a": "1", "b": "&"}}
        status, headers, body = await get(server, "/response")
        assert (status, headers["content-type"], headers["x-a"], body) == (418, "text/tea", "b", b"tea")
        assert (await get(server, "/empty"))[0] == 204
        assert await peer.rest() == []


async def test_a_route_that_fails_answers_500_without_details(caplog: pytest.LogCaptureFixture) -> None:
    server = make_server()

    def fail() -> str:
        raise ValueError("sesame")

    server.get("/fail", fail)
    server.get("/unsendable", lambda: {"a": object()})
    server.get("/ok", lambda: "ok")
    async with server:
        for path in ("/fail", "/unsendable"):
            status, _, body = await get(server, path)
            assert status == 500
            assert b"sesame" not in body
        assert (await get(server, "/ok"))[2] == b"ok"
    assert "/fail" in caplog.text


async def test_healthz_is_built_in_and_can_be_replaced() -> None:
    server = make_server()
    async with server:
        status, _, body = await get(server, "/healthz")
        assert (status, json.loads(body)) == (200, {"status": "ok"})
        assert (await get(server, "/healthz?probe=1"))[0] == 200
        server.get("/healthz", lambda: "mine")
        assert (await get(server, "/healthz"))[2] == b"mine"


@pytest.mark.parametrize("path", ["/", "/nothing", "/healthz/", "/?id=1"])
async def test_without_an_upgrade_it_is_426(path: str) -> None:
    server = make_server()
    async with server:
        status, headers, _ = await get(server, path)
        assert (status, headers["upgrade"]) == (426, "websocket")
        assert server.sockets == ()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"sec_websocket_version": "8"}, 426),
        ({"sec_websocket_version": ""}, 426),
        ({"sec_websocket_version": "x"}, 426),
        ({"upgrade": ""}, 426),
        ({"upgrade": "h2c"}, 426),
        ({"connection": "keep-alive"}, 426),
        ({"sec_websocket_key": ""}, 400),
        ({"sec_websocket_key": "short"}, 400),
        ({"sec_websocket_key": "!" * 24}, 400),
    ],
)
async def test_an_invalid_upgrade_is_refused(fields: dict[str, str], status: int) -> None:
    server = make_server()
    async with server, raw_stream(server) as peer:
        answer, headers = await peer.request(upgrade_request(**fields))
        assert answer == status
        if "sec_websocket_version" in fields:
            assert headers["sec-websocket-version"] == "13"
        await peer.gone()
        assert server.sockets == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"connection": "keep-alive, Upgrade"},  # Firefox
        {"connection": "upgrade"},
        {"connection": "UPGRADE,close"},
        {"upgrade": "WebSocket"},
        {"upgrade": "h2c, websocket"},
    ],
)
async def test_upgrades_as_browsers_write_them(fields: dict[str, str]) -> None:
    server = make_server()
    server.on("say", lambda socket, data: data)
    async with server, raw_stream(server) as peer:
        status, headers = await peer.request(upgrade_request("/?id=1", **fields))
        assert status == 101
        assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        peer.send_event("say", 1, callbackId="a")
        assert await peer.frame(WAIT_TIMEOUT) == (TEXT, b'{"payload":1,"callbackId":"a"}')


async def test_a_subprotocol_that_is_not_ours_is_not_chosen() -> None:
    server = make_server()
    async with server, connect(server, subprotocols=[websockets.Subprotocol("chat.v9")]) as peer:
        assert peer.ws.subprotocol is None
        assert next(iter(server.sockets)).handshake.subprotocol is None


GARBAGE = [
    b"\x00\x01\x02\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET / HTTP/1.1\r\nno colon here\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 200_000,
    b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
    b"GET /\xff\xfe?\x80 HTTP/1.1\r\nHost: \xff\r\n\r\n",
]


@pytest.mark.parametrize("number", range(len(GARBAGE)))
async def test_an_invalid_request_ends_its_own_connection_only(number: int) -> None:
    server = make_server()
    async with server, connect(server) as other:
        async with raw_stream(server) as peer:
            peer.writer.write(GARBAGE[number])
            await peer.gone()
        assert await other.rest() == []
        assert len(server.sockets) == 1


async def test_invalid_routes_are_refused() -> None:
    server = make_server()

    async def later() -> str:
        return ""

    for path, handler in (("no-slash", lambda: ""), ("/later", later)):
        with pytest.raises(ConfigError):
            server.get(path, handler)  # type: ignore[type-var] # pyright: ignore


async def test_a_route_sees_the_request() -> None:
    server, got = make_server(), list[Handshake]()

    @server.get("/a b")
    def page(request: Handshake) -> str:
        got.append(request)
        return ""

    async with server:
        await get(server, "/a%20b?x=1")
        assert (got[0].path, got[0].query, got[0].remote) == ("/a b", {"x": "1"}, "127.0.0.1")
        assert got[0].headers["host"] == "localhost"


async def test_readiness_is_built_in() -> None:
    server = make_server()
    async with server:
        status, _, body = await get(server, "/readyz")
        assert (status, json.loads(body)) == (
            200,
            {"ready": True, "joined": True, "redis": True, "draining": False},
        )


async def test_a_server_whose_redis_is_away_is_alive_and_not_ready() -> None:
    with RedisProcess() as redis:
        async with make_server(redis=redis.url) as server:
            assert (await get(server, "/readyz"))[0] == 200
            redis.kill()
            await wait_until(lambda: not server.cluster.bus_available)
            status, _, body = await get(server, "/readyz")
            assert (status, json.loads(body)) == (
                503,
                {"ready": False, "joined": True, "redis": False, "draining": False},
            )
            assert (await get(server, "/healthz"))[0] == 200
            redis.start()
            await wait_until(lambda: server.cluster.bus_available)
            assert (await get(server, "/readyz"))[0] == 200


async def test_one_of_several_redis_is_enough_to_be_ready() -> None:
    away = ReservedPort()
    with RedisProcess() as redis:
        async with make_server(redis=[redis.url, f"redis://127.0.0.1:{away.number}"]) as server:
            assert (await get(server, "/readyz"))[0] == 200
