"""The log of a server whose clients put line breaks and sequences of terminals wherever they can put text."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from crosswire import Handshake, Reject, Server, Socket
from tests.integration.server.support import CLOSE, TEXT, RawPeer, connect, raw_connect, raw_stream, upgrade_request
from tests.support.aio import wait_until

FORGED = "\nCRITICAL crosswire.forged\r\nCRITICAL crosswire.forged\x1b[31m\x85CRITICAL\u2028CRITICAL\u202e"
PATH = "/" + quote(FORGED)
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class LogFile:
    """The text that a log file of this process would have."""

    def __init__(self) -> None:
        self.handler = logging.StreamHandler(io.StringIO())
        self.handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))

    @property
    def text(self) -> str:
        return self.handler.stream.getvalue()

    @property
    def messages(self) -> list[str]:
        """Lines that look like records; a line may be ended by anything that some reader takes for its end."""
        return [line for line in self.text.splitlines() if not line.startswith(" ")]


@pytest.fixture(autouse=True)
def log_file(caplog: pytest.LogCaptureFixture) -> Iterator[LogFile]:
    caplog.set_level(logging.DEBUG, "crosswire")
    file, root = LogFile(), logging.getLogger()
    root.addHandler(file.handler)
    yield file
    root.removeHandler(file.handler)
    for line in file.messages:
        level, name, *_ = line.split(" ")
        assert (level in LEVELS, name.split(".")[0]) in ((True, "crosswire"), (True, "uvicorn"), (True, "asyncio")), (
            line
        )
    assert file.text.replace("\n", "").isprintable()


async def raise_text(request: Request) -> PlainTextResponse:
    raise ValueError(request.query_params["text"])


APPLICATION = Starlette(routes=[Route("/raise", raise_text)])


def hostile_server(**options: Any) -> Server:
    server = Server("test", port=0, access_log=True, **options)

    @server.authenticate
    def who(handshake: Handshake) -> str:
        if "fail" in handshake.query:
            raise ValueError(handshake.query["fail"])
        if "reject" in handshake.query:
            raise Reject(4011, handshake.query["reject"][:40])
        if "refuse" in handshake.query:
            raise Reject(status=403, reason=handshake.query["refuse"])
        return handshake.query.get("id", "13")

    @server.on("fail")
    def fail(socket: Socket, text: str) -> None:
        error = ValueError(text)
        error.add_note(text)
        raise error from ExceptionGroup(text, [KeyError(text), SyntaxError(text)])

    @server.on("fail later")
    async def fail_later(socket: Socket, text: str) -> None:
        raise LookupError(text)

    @server.on("join")
    async def join(socket: Socket, text: str) -> None:
        await socket.join(text, text)
        raise RuntimeError(f"{socket.rooms}")

    @server.on_disconnect
    def left(socket: Socket, close: Any) -> None:
        raise ValueError(f"{close}")

    @server.on("typed")
    def typed(socket: Socket, number: int) -> None: ...

    return server


EVENTS: dict[str, tuple[str, Any]] = {
    "handler": ("fail", FORGED),
    "coroutine": ("fail later", FORGED),
    "room": ("join", FORGED),
    "payload": ("typed", FORGED),
    "name": (FORGED, 1),
    "reserved name": ("$" + FORGED, 1),
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
async def test_events_forge_no_line(event: tuple[str, Any], log_file: LogFile) -> None:
    async with hostile_server() as server, connect(server, quote(FORGED)) as peer:
        await peer.send(*event)
        await peer.ask(*event)
        await peer.rest()
    assert any("forged" in line for line in log_file.messages)


@pytest.mark.parametrize("what", ["fail", "reject", "refuse", "id"])
async def test_credentials_forge_no_line(what: str, log_file: LogFile) -> None:
    async with hostile_server() as server, raw_stream(server) as raw:
        await raw.request(upgrade_request(f"{PATH}?{what}={quote(FORGED)}"))
        await raw.writer.drain()
        raw.writer.write_eof()
        await raw.gone()
    assert any("forged" in line for line in log_file.text.splitlines())


async def test_the_reason_of_a_close_forges_no_line(log_file: LogFile) -> None:
    async with hostile_server() as server, raw_connect(server, "13") as raw:
        raw.send(CLOSE, b"\x0f\xa1" + FORGED.encode()[:120])
        await raw.gone()
        await wait_until(lambda: "ended after" in log_file.text)
    assert "a hook failed" in log_file.text


FIELDS = ["origin", "host", "upgrade", "x_forwarded_for", "forwarded", "sec_websocket_protocol", "sec_websocket_key"]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("forged", ["x\x1b[31m\x85\x9b CRITICAL", "\x7fx", "x\nCRITICAL crosswire.forged", "x\ry: z"])
async def test_fields_forge_no_line(field: str, forged: str) -> None:
    options = {"origins": ["https://a.example"], "trusted_proxies": ["127.0.0.1"]}
    async with hostile_server(**options) as server, raw_stream(server) as raw:
        raw.writer.write(upgrade_request(**{field: forged}).replace(forged.encode(), forged.encode("latin-1")))
        raw.writer.write_eof()
        await raw.gone()


REQUESTS: dict[str, bytes] = {
    "method": b"\x1b[31m / HTTP/1.1\r\n\r\n",
    "target": b"GET /\x1b[31m\x85\x9b HTTP/1.1\r\nHost: a\r\n\r\n",
    "escaped target": f"GET {PATH} HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    "version": b"GET / HTTP/\x1b.1\r\n\r\n",
    "publish": f"POST /publish?{quote(FORGED)} HTTP/1.1\r\nHost: a\r\nAuthorization: {FORGED!r}\r\n\r\n".encode(),
    "application": f"GET /raise?text={quote(FORGED)} HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    "no upgrade": f"GET {PATH} HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: \x1b[31m\r\n\r\n".encode(),
}


@pytest.mark.parametrize("request_bytes", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("app", [None, APPLICATION], ids=["alone", "with an application"])
async def test_requests_forge_no_line(request_bytes: bytes, app: Any, log_file: LogFile) -> None:
    async with hostile_server(app=app, publish_key="k" * 20) as server, raw_stream(server) as raw:
        raw.writer.write(request_bytes)
        raw.writer.write_eof()
        await raw.gone()
    assert app is None or b"/raise" not in request_bytes or "ValueError" in log_file.text


async def send_rubbish(raw: RawPeer) -> None:
    raw.send(TEXT, FORGED.encode())


async def send_bad_utf8(raw: RawPeer) -> None:
    raw.send(TEXT, FORGED.encode() + b"\xff")


@pytest.mark.parametrize("send", [send_rubbish, send_bad_utf8])
async def test_rubbish_forges_no_line(send: Callable[[RawPeer], Any]) -> None:
    async with hostile_server() as server, raw_connect(server, "13") as raw:
        await send(raw)
        raw.send(CLOSE, b"\x03\xe8")
        await raw.gone()


async def test_the_header_of_a_proxy_forges_no_line(log_file: LogFile) -> None:
    options = {"trusted_proxies": ["127.0.0.1"], "proxy_protocol": True}
    async with hostile_server(**options) as server:
        for header in (b"PROXY TCP4 \x1b[31m 1.1.1.1 1 1\r\n", b"PROXY TCP4 a\rCRITICAL 1.1.1.1 1 1\r\n"):
            async with raw_stream(server) as raw:
                raw.writer.write(header)
                await raw.gone()
    assert "it sent no PROXY protocol" in log_file.text
