from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosswire import Limits
from crosswire.transport.interface import HandedOver, HttpRequest
from crosswire.transport.uvicorn_application import UvicornApplication

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nbody!"
CHUNKED = b"POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbody!\r\n0\r\n\r\n"
H2C = b"GET /%d HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
WEBSOCKET = b"GET /ws?id=7 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nX-Field: \xe4\r\n\r\n"
BEHIND = b"\x81\x80 frames, which may look like GET / HTTP/1.1\r\n\r\n"

requests = st.lists(st.sampled_from([GET, POST, CHUNKED, H2C]), max_size=5)


class FakeTransport(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.paused = self.closing = False
        self.protocol: Any = None

    def write(self, data: Any) -> None:
        self.written += data

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Websocket(asyncio.Protocol):
    """What the connection is given back to."""

    def __init__(self) -> None:
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data


class Application:
    """An application that answers with the path and the body, once it may."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.paths: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        await self.may_answer.wait()
        text = scope["path"].encode() + b" " + body
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
        await send({"type": "http.response.body", "body": text})


def connected(app: Application) -> tuple[UvicornApplication, FakeTransport, Websocket]:
    application = UvicornApplication(app, lambda request: request.wants_websocket, Limits())
    application.start({}, access_log=False)
    transport, websocket = FakeTransport(), Websocket()
    application.take_over(HandedOver(transport, b"\r\n", None, False, lambda: websocket))
    return application, transport, websocket


def in_parts(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


@settings(max_examples=60, deadline=None)
@given(kinds=requests, cuts=st.lists(st.integers(0, 800), max_size=12), answers_early=st.booleans())
async def test_requests_and_a_websocket_in_any_parts(kinds: list[bytes], cuts: list[int], answers_early: bool) -> None:
    app = Application()
    if answers_early:
        app.may_answer.set()
    application, transport, websocket = connected(app)
    stream = b"".join(kind % number for number, kind in enumerate(kinds)) + WEBSOCKET + BEHIND
    for part in in_parts(stream, cuts):
        transport.protocol.data_received(part)
        await asyncio.sleep(0)
    if kinds and not answers_early:
        assert websocket.received == b""
    app.may_answer.set()
    for _ in range(5 * len(kinds) + 5):
        await asyncio.sleep(0)
    assert app.paths == [f"/{number}" for number in range(len(kinds))]
    bodies = [b"" if kind in (GET, H2C) else b"body!" for kind in kinds]
    texts = [b"/%d %b" % (number, body) for number, body in enumerate(bodies)]
    assert [part.partition(b"\r\n\r\n")[2] for part in transport.written.split(b"HTTP/1.1 200 OK\r\n")[1:]] == texts
    head, _, behind = websocket.received.partition(b"\r\n\r\n")
    assert behind == BEHIND
    assert head.lower() == WEBSOCKET.lower().strip()
    assert not transport.closing
    assert not transport.paused
    application.end()


@pytest.mark.parametrize("target", [b"a:80", b"/a", b"http://a/b"])
@pytest.mark.parametrize("before", [b"", GET % 0])
async def test_a_tunnel_is_refused(target: bytes, before: bytes) -> None:
    app = Application()
    app.may_answer.set()
    application, transport, websocket = connected(app)
    transport.protocol.data_received(before)
    for _ in range(5):
        await asyncio.sleep(0)
    transport.protocol.data_received(b"CONNECT " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n" + GET % 1)
    await asyncio.sleep(0)
    assert b"HTTP/1.1 501 " in transport.written
    assert (transport.closing, websocket.received) == (True, b"")
    assert app.paths == ["/0"] * bool(before)
    application.end()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /0 HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
        b"GET /0 HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n",
    ],
)
async def test_a_last_request_that_names_another_protocol_is_answered(head: bytes) -> None:
    app = Application()
    app.may_answer.set()
    application, transport, _ = connected(app)
    transport.protocol.data_received(head + b"\r\n" + GET % 1)
    for _ in range(5):
        await asyncio.sleep(0)
    assert app.paths == ["/0"]
    assert transport.written.endswith(b"\r\n\r\n/0 ")
    assert transport.closing
    application.end()


async def test_a_websocket_waits_while_the_transport_is_full() -> None:
    app = Application()
    app.may_answer.set()
    application, transport, websocket = connected(app)
    transport.protocol.data_received(GET % 0)
    await asyncio.sleep(0)
    transport.protocol.pause_writing()
    transport.protocol.data_received(WEBSOCKET)
    assert (websocket.received, transport.paused) == (b"", True)
    transport.protocol.resume_writing()
    assert websocket.received.startswith(b"GET /ws?id=7 HTTP/1.1\r\n")
    assert not transport.paused
    application.end()


async def test_a_websocket_of_the_application_is_refused_during_the_stop() -> None:
    app = Application()
    application = UvicornApplication(app, lambda request: False, Limits())
    application.start({}, access_log=False)
    application.close_idle()
    transport = FakeTransport()
    application.take_over(HandedOver(transport, WEBSOCKET, None, False, Websocket))
    assert transport.written.startswith(b"HTTP/1.1 503 ")
    assert transport.closing
    assert app.paths == []
    application.end()


async def test_what_comes_after_the_stop_is_dropped() -> None:
    application = UvicornApplication(Application(), lambda request: False, Limits())
    transport = FakeTransport()
    application.take_over(HandedOver(transport, GET % 0, None, False, Websocket))
    assert transport.closing


def test_which_requests_are_the_applications() -> None:
    application = UvicornApplication(Application(), lambda request: request.target == "/ws", Limits())
    assert application.answers(HttpRequest("/", None, ""))  # type: ignore[arg-type]
    assert not application.answers(HttpRequest("/ws", None, ""))  # type: ignore[arg-type]
