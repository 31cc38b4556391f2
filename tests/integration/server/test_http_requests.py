"""HTTP requests without an upgrade, byte by byte: over TCP, TLS and a Unix socket."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from crosswire import Handshake, Limits, Response, Server
from crosswire.testing.socket_peer import upgrade_request
from crosswire.transport.picows_listener import PicowsListener
from tests.integration.server.support import WAIT_TIMEOUT, connect, make_server, raw_stream
from tests.support.aio import wait_until
from tests.support.certificates import tls_contexts

KINDS = ("tcp", "tls", "unix")


@asynccontextmanager
async def serving(
    kind: str, tmp_path: Path, limits: Limits | None = None
) -> AsyncIterator[tuple[Server, ssl.SSLContext | None]]:
    server_tls, client_tls = tls_contexts(tmp_path) if kind == "tls" else (None, None)
    host = f"unix:{tmp_path}/s" if kind == "unix" else "127.0.0.1"
    async with make_server(host=host, tls=server_tls, limits=limits or Limits()) as server:
        yield server, client_tls


async def exchange(server: Server, tls: ssl.SSLContext | None, *parts: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send a request, part by part, and read all that comes."""
    path = server._listener.address.partition("unix:")[2]
    name = None if tls is None else "localhost"
    opened = (
        asyncio.open_unix_connection(path)
        if path
        else asyncio.open_connection("127.0.0.1", server.port, ssl=tls, server_hostname=name)
    )
    reader, writer = await opened
    for part in parts:
        writer.write(part)
        await writer.drain()
    async with asyncio.timeout(WAIT_TIMEOUT):
        answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    assert line.startswith("HTTP/1.1 "), answer
    return int(line.split()[1]), {name.lower(): value for name, value in (each.split(": ", 1) for each in fields)}, body


def request(method: str, target: str = "/healthz", version: str = "1.1", fields: str = "Host: a\r\n") -> bytes:
    return f"{method} {target} HTTP/{version}\r\n{fields}\r\n".encode()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("version", "fields"), [("1.1", "Host: a\r\n"), ("1.0", ""), ("1.0", "Connection: close\r\n")])
async def test_health_checks_of_every_kind(kind: str, version: str, fields: str, tmp_path: Path) -> None:
    async with serving(kind, tmp_path) as (server, tls):
        status, got, body = await exchange(server, tls, request("GET", version=version, fields=fields))
        assert (status, json.loads(body), got["connection"]) == (200, {"status": "ok"}, "close")
        assert got["content-length"] == str(len(body))
        status, head, nothing = await exchange(server, tls, request("HEAD", version=version, fields=fields))
        assert (status, nothing) == (200, b"")
        assert head | {"date": ""} == got | {"date": ""}


async def test_pages_are_answered_to_head_too() -> None:
    server = make_server()
    seen = list[Handshake]()

    @server.get("/page")
    def page(handshake: Handshake) -> Response:
        seen.append(handshake)
        return Response(200, b"<p>", {"Content-Type": "text/html", "ETag": "1"})

    async with server:
        status, fields, body = await exchange(server, None, request("HEAD", "/page?a=1", "1.0", ""))
        assert (status, fields["content-length"], fields["content-type"], body) == (200, "3", "text/html", b"")
        assert seen[0].query == {"a": "1"}
        status, fields, body = await exchange(server, None, request("HEAD", "/nothing"))
        assert (status, fields["upgrade"], body) == (426, "websocket", b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "CONNECT"])
@pytest.mark.parametrize("target", ["/healthz", "/page", "/nothing"])
async def test_other_methods_are_405_with_the_allowed_ones(method: str, target: str) -> None:
    server = make_server()
    server.get("/page", lambda: "page")
    async with server:
        target = "a:1" if method == "CONNECT" else target
        status, fields, _ = await exchange(server, None, request(method, target))
        assert (status, fields["allow"]) == (405, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize("target", ["*", "/healthz", "/nothing"])
async def test_options_lists_the_allowed_methods(target: str) -> None:
    async with make_server() as server:
        status, fields, body = await exchange(server, None, request("OPTIONS", target))
        assert (status, fields["allow"], body) == (204, "GET, HEAD, OPTIONS", b"")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_body_is_ignored_and_the_answer_still_arrives(kind: str, tmp_path: Path) -> None:
    body = bytes(3 * 1024 * 1024)
    post = request("POST", fields=f"Host: a\r\nContent-Length: {len(body)}\r\n")
    async with serving(kind, tmp_path) as (server, tls):
        status, fields, _ = await exchange(server, tls, post + b"x") if tls else await exchange(server, tls, post, body)
        assert (status, fields["allow"]) == (405, "GET, HEAD, OPTIONS")
        small = request("GET", fields="Host: a\r\nContent-Length: 3\r\n")
        assert (await exchange(server, tls, small + b"abc"))[0] == 200


HALF_A_BODY = request("POST", fields="Host: a\r\nContent-Length: 9\r\n") + b"abc"


@pytest.mark.parametrize("sent", [b"", b"GET / HT", HALF_A_BODY])
async def test_a_disconnected_peer_is_not_waited_for(sent: bytes) -> None:
    async with make_server() as server:
        listener = server._listener
        assert isinstance(listener, PicowsListener)
        handshakes = listener._handshakes
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(sent)
        await wait_until(lambda: len(handshakes))
        if sent == HALF_A_BODY:
            assert (await asyncio.wait_for(reader.read(), WAIT_TIMEOUT)).startswith(b"HTTP/1.1 405 ")
        writer.write_eof()
        await wait_until(lambda: not len(handshakes))
        writer.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request("GET", fields=""), 400),
        (request("GET", fields="Host: a\r\nHost: b\r\n"), 400),
        (b"hello\r\n\r\n", 400),
        (request("GET", version="2.0"), 505),
        (request("GET", "*"), 400),
        (request("GET", "/" + "x" * 20_000), 414),
        (request("GET", fields="Host: a\r\n" + "X: y\r\n" * 100), 431),
        (request("GET", fields="Host: a\r\nX: " + "y" * 200_000), 431),
        (upgrade_request().replace(b"Host: test\r\n", b""), 400),
        (upgrade_request(headers=[("X", "y" * 20_000)]), 431),
        (upgrade_request().replace(b"HTTP/1.1", b"HTTP/1.0"), 426),
        (upgrade_request().replace(b"GET", b"POST"), 405),
        (upgrade_request(headers=[("Content-Length", "3")]) + b"abc", 400),
    ],
)
async def test_a_refused_request_gets_a_response(sent: bytes, status: int) -> None:
    server = make_server()
    async with server, connect(server) as other:
        assert (await exchange(server, None, sent))[0] == status
        assert await other.rest() == []
        assert len(server.sockets) == 1


async def test_larger_limits_admit_larger_heads() -> None:
    server = make_server(limits=Limits(headers=500, header_size=256 * 1024))
    async with server, raw_stream(server) as peer:
        fields = [("Cookie", "x" * 100_000), *((f"X-{number}", "y") for number in range(400))]
        status, _ = await peer.request(upgrade_request("/?" + "z" * 30_000, fields))
        assert status == 101
        (socket,) = server.sockets
        assert len(socket.handshake.headers["cookie"]) == 100_000


async def test_a_refusal_is_logged_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    async with make_server() as server:
        for _ in range(5):
            await exchange(server, None, request("GET", fields="Host: a\r\nX: " + "y" * 20_000))
    lines = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len(lines) in (1, 2)
    assert "431" in lines[0]
    assert "yyy" not in caplog.text


@pytest.mark.parametrize(
    "target",
    ["/?name=ü&x=1".encode(), b"/?name=%C3%BC&x=1", b"/?name=\xc3%BC&x=1", b"http://example.com/?name=\xc3\xbc&x=1"],
)
async def test_a_query_is_utf8_whether_it_is_percent_encoded_or_not(target: bytes) -> None:
    server = make_server()
    async with server, raw_stream(server) as peer:
        sent = upgrade_request("/TARGET", [("X", "é")]).replace(b"/TARGET", target)
        status, _ = await peer.request(sent)
        assert status == 101
        (socket,) = server.sockets
        assert socket.handshake.query == {"name": "ü", "x": "1"}
        assert socket.handshake.path == "/"
        assert socket.handshake.headers["x"] == "é"


async def test_invalid_utf8_in_a_target_becomes_the_replacement_character() -> None:
    server = make_server()
    async with server, raw_stream(server) as peer:
        status, _ = await peer.request(upgrade_request("/TARGET").replace(b"/TARGET", b"/\xff?a=\xfc"))
        assert status == 101
        (socket,) = server.sockets
        assert (socket.handshake.path, socket.handshake.query) == ("/\ufffd", {"a": "\ufffd"})


@pytest.mark.parametrize("kind", KINDS)
async def test_messages_behind_an_upgrade_are_received_however_many(kind: str, tmp_path: Path) -> None:
    got = list[object]()
    async with serving(kind, tmp_path) as (server, tls):
        server.on("say", lambda _socket, data: got.append(data))
        frames = b""
        for number in range(1000):
            text = b'{"event":"say","payload":%d}' % number
            frames += bytes((0x81, 0x80 | len(text))) + bytes(4) + text
        answer = await exchange(server, tls, upgrade_request() + frames + b"\x88\x82\0\0\0\0\x03\xe8")
        assert answer[0] == 101
        assert got == list(range(1000))
