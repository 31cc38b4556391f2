"""Requests that are invalid, ambiguous or too large: refused with a status that arrives, on every kind of port."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from crosswire import Limits, Server
from tests.integration.server.support import WAIT_TIMEOUT
from tests.support.certificates import tls_contexts

FIRST = b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
CHUNKED = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def websocket(
    line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: a\r\n", more: bytes = b"", body: bytes = b""
) -> bytes:
    return line + b"\r\n" + host + UPGRADE + more + b"\r\n" + body


def post(fields: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"POST /a HTTP/" + version + b"\r\nHost: a\r\n" + fields + b"\r\n" + body


REFUSED: dict[str, tuple[bytes, int]] = {
    "no host": (websocket(host=b""), 400),
    "two hosts": (websocket(host=b"Host: a\r\nHost: a\r\n"), 400),
    "a host that is none": (websocket(host=b"Host: a<b>\r\n"), 400),
    "plain, no host": (b"GET /a HTTP/1.1\r\n\r\n", 400),
    "plain, two hosts": (b"GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "two upgrades": (websocket(more=b"Upgrade: websocket\r\n"), 400),
    "two keys": (websocket(more=b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400),
    "two versions": (websocket(more=b"Sec-WebSocket-Version: 13\r\n"), 400),
    "a field of 17 KiB": (websocket(more=b"X: " + b"a" * 17_000 + b"\r\n"), 431),
    "a field of 1 MiB": (websocket(more=b"X: " + b"a" * (1 << 20) + b"\r\n"), 431),
    "a line of 17 KiB": (websocket(b"GET /" + b"a" * 17_000 + b" HTTP/1.1"), 414),
    "a line of 1 MiB": (websocket(b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1"), 414),
    "a line of 1 MiB without an end": (b"GET /" + b"a" * (1 << 20), 414),
    "2,000 fields": (websocket(more=b"".join(b"x%d: 1\r\n" % number for number in range(2000))), 431),
    "101 fields": (websocket(more=b"".join(b"x%d: 1\r\n" % number for number in range(101))), 431),
    "NUL in a value": (websocket(more=b"X: a\0b\r\n"), 400),
    "NUL in a name": (websocket(more=b"X\0: a\r\n"), 400),
    "bare line feeds": (websocket().replace(b"\r\n", b"\n"), 400),
    "a line feed in a field": (websocket(more=b"X: a\nY: b\r\n"), 400),
    "a carriage return in a field": (websocket(more=b"X: a\rY: b\r\n"), 400),
    "a folded field": (websocket(more=b"X: a\r\n b\r\n"), 400),
    "a space before a colon": (websocket(more=b"X : a\r\n"), 400),
    "a name that is no token": (websocket(more=b"X(y): a\r\n"), 400),
    "a field without a name": (websocket(more=b": a\r\n"), 400),
    "a control character": (websocket(more=b"X: a\x01b\r\n"), 400),
    "HTTP/0.9": (b"GET /\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "version 2.0": (websocket(b"GET / HTTP/2.0"), 505),
    "a method in lower case": (websocket(b"get / HTTP/1.1"), 400),
    "TLS": (bytes.fromhex("16030100c8010000c40303") + bytes(190), 400),
    "a target that is a host": (websocket(b"GET a:80 HTTP/1.1"), 400),
    "a target of another scheme": (websocket(b"GET ws://a/ HTTP/1.1"), 400),
    "a target with a user": (websocket(b"GET http://u@a/ HTTP/1.1"), 400),
    "a fragment": (websocket(b"GET /#a HTTP/1.1"), 400),
    "a star": (websocket(b"GET * HTTP/1.1"), 400),
    "an upgrade with a body": (websocket(more=b"Content-Length: 5\r\n", body=b"hello"), 400),
    "an upgrade in chunks": (websocket(more=b"Transfer-Encoding: chunked\r\n", body=b"0\r\n\r\n"), 400),
    "both lengths": (post(b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), 400),
    "two lengths": (post(b"Content-Length: 4\r\nContent-Length: 5\r\n", b"abcd"), 400),
    "a length with a sign": (post(b"Content-Length: +4\r\n", b"abcd"), 400),
    "a hexadecimal length": (post(b"Content-Length: 0x4\r\n", b"abcd"), 400),
    "a list of lengths": (post(b"Content-Length: 4, 4\r\n", b"abcd"), 400),
    "an enormous length": (post(b"Content-Length: 99999999999999999999999\r\n"), 400),
    "an unknown coding": (post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), 400),
    "chunks within": (post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"), 400),
    "a compressed body": (post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), 501),
    "chunks of HTTP/1.0": (post(b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"1.0"), 400),
}
REFUSED_BODIES: dict[str, tuple[bytes, int]] = {
    "a chunk with a sign": (CHUNKED + b"+1\r\na\r\n0\r\n\r\n", 400),
    "a hexadecimal chunk": (CHUNKED + b"0x1\r\na\r\n0\r\n\r\n", 400),
    "a chunk and a line feed": (CHUNKED + b"1\na\r\n0\r\n\r\n", 400),
    "an enormous chunk": (CHUNKED + b"f" * 20 + b"\r\na\r\n0\r\n\r\n", 400),
    "a chunk that is longer": (CHUNKED + b"1\r\nab\r\n0\r\n\r\n", 400),
    "3,000 fields behind a body": (CHUNKED + b"0\r\n" + b"X: y\r\n" * 3000 + b"\r\n", 431),
    "a field of 1 MiB behind a body": (CHUNKED + b"0\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n", 431),
    "an extension of 1 MiB": (CHUNKED + b"1;x=" + b"a" * (1 << 20) + b"\r\na\r\n0\r\n\r\n", 431),
}


class Application:
    """An application that keeps the bodies of its requests."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, bytes]] = []
        self.asgi = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST"])])

    async def _answer(self, request: Request) -> PlainTextResponse:
        try:
            body = await request.body()
        except ClientDisconnect:
            return PlainTextResponse("nobody reads this")
        self.requests.append((request.method, request.url.path, body))
        return PlainTextResponse("answer")


@asynccontextmanager
async def port(kind: str, directory: Path) -> AsyncIterator[tuple[Server, ssl.SSLContext | None, Application]]:
    application = Application()
    options: dict[str, Any] = {} if "application" not in kind else {"app": application.asgi, "path": ["/", "/ws"]}
    client = None
    if "TLS" in kind:
        options["tls"], client = tls_contexts(directory)
    async with Server(port=0, **options) as server:
        yield server, client, application


async def answer_to(server: Server, tls: ssl.SSLContext | None, sent: bytes, before: bytes) -> bytes:
    """Send bytes before anything is read, and return what comes until an orderly end of the connection."""
    host = None if tls is None else "localhost"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=tls, server_hostname=host)
    try:
        async with asyncio.timeout(WAIT_TIMEOUT):
            if before:
                writer.write(before)
                assert (await reader.readuntil(b"answer")).startswith(b"HTTP/1.1 200 ")
            writer.write(sent)
            await writer.drain()
            return await reader.read()
    finally:
        writer.transport.abort()


async def expect(server: Server, tls: ssl.SSLContext | None, case: tuple[bytes, int], before: bytes) -> None:
    sent, status = case
    answer = await answer_to(server, tls, sent, before)
    assert answer.startswith(b"HTTP/1.1 %d " % status), (sent[-200:], answer)
    assert answer.count(b"HTTP/1.1") == 1, (sent[-200:], answer)


LATER = "an application, a later request"
PORTS = ["alone", "TLS", "an application", LATER, f"{LATER}, TLS"]


@pytest.mark.parametrize("kind", PORTS)
async def test_each_head_is_refused_with_a_status_that_arrives(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = FIRST if "later" in kind else b""
    async with port(kind, tmp_path) as (server, tls, application):
        await asyncio.gather(
            *(
                expect(server, tls, case, before)
                for name, case in REFUSED.items()
                if not (before and name == "HTTP/0.9")  # the timeout ends it there
            )
        )
        assert {path for _, path, _ in application.requests} <= {"/first"}
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("kind", ["an application", LATER, "an application, TLS"])
async def test_each_body_is_refused_with_a_status_that_arrives(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = FIRST if "later" in kind else b""
    async with port(kind, tmp_path) as (server, tls, application):
        await asyncio.gather(*(expect(server, tls, case, before) for case in REFUSED_BODIES.values()))
        assert {path for _, path, _ in application.requests} <= {"/first"}
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_refusal_comes_behind_the_responses_before_it(tmp_path: Path) -> None:
    async with port("an application", tmp_path) as (server, tls, application):
        answer = await answer_to(server, tls, FIRST + FIRST + b"GET / HTTP/1.1\r\n\r\n" + FIRST, b"")
        statuses = [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]]
        assert statuses == [b"200", b"200", b"400"]
        assert len(application.requests) == 2


async def test_fields_behind_a_body_are_not_those_of_the_request(tmp_path: Path) -> None:
    async with port("an application", tmp_path) as (server, tls, application):
        behind = CHUNKED + b"2\r\nab\r\n0\r\nX-User: admin\r\n\r\n"
        answer = await answer_to(server, tls, behind + b"GET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"")
        assert answer.count(b"HTTP/1.1 200 ") == 2
        assert application.requests == [("POST", "/a", b"ab"), ("GET", "/b", b"")]


@pytest.mark.parametrize("rest", [b"\r\n", CHUNKED[:-2]])
async def test_a_connection_that_sends_no_further_request_is_dropped(rest: bytes, tmp_path: Path) -> None:
    limits = Limits(handshake_timeout=0.2)
    application = Application()
    async with Server(port=0, app=application.asgi, limits=limits) as server:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert not await answer_to(server, None, rest, FIRST)
        assert loop.time() - began < WAIT_TIMEOUT - 1


async def test_plain_http_on_a_port_with_tls_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with port("TLS", tmp_path) as (server, _, _):
        for sent in (FIRST, b"", b"\x16\x03\x01", bytes(1000)):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(sent)
            writer.write_eof()
            async with asyncio.timeout(WAIT_TIMEOUT):
                await reader.read()
            writer.close()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
