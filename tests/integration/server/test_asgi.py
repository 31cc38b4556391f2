"""A server as an ASGI application, called in memory: its connections carry messages, no WebSocket frames, no pings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, cast

import pytest

from crosswire import Close, Handshake, Heartbeat, Limits, Reject, Response, Server, Socket, UsageError
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


# The request, and what it is answered with


@asynccontextmanager
async def running(server: Server) -> AsyncIterator[Server]:
    async with server.lifespan():
        yield server


async def answer_of(server: Server, target: str, headers: dict[str, str] | None = None, **fields: Any) -> Response:
    answer = await asgi_client.connect(server.asgi, target, list((headers or {}).items()), **fields)
    assert isinstance(answer, Response), answer
    return answer


async def test_a_reject_with_a_status_refuses_the_upgrade_with_it() -> None:
    server = Server()

    @server.authenticate
    async def refuse(handshake: Handshake) -> str:
        await asyncio.sleep(0)
        raise Reject(status=401, reason="who are you?")

    async with running(server):
        answer = await answer_of(server, "/")
        assert (answer.status, answer.body) == (401, b"who are you?")


async def test_a_refusal_is_a_plain_close_where_the_asgi_server_has_no_denial_response() -> None:
    server = Server()

    @server.authenticate
    def refuse(handshake: Handshake) -> str:
        raise Reject(status=401)

    async with running(server):
        assert (await answer_of(server, "/", extensions={})).status == 403


async def test_a_reject_with_a_close_code_accepts_and_closes_with_it() -> None:
    server = Server()

    @server.authenticate
    async def refuse(handshake: Handshake) -> str:
        raise Reject(4011, "no")

    async with running(server):
        client = await asgi_client.connect(server.asgi)
        assert isinstance(client, AsgiClient)
        assert await client.receive() == Close(4011, "no")


async def test_authenticate_may_wait_and_choose_the_subprotocol_and_set_context_variables() -> None:
    server = Server(subprotocols=["a", "b"])
    variable = ContextVar[str]("variable")

    @server.authenticate
    async def who(handshake: Handshake) -> str:
        await asyncio.sleep(0)
        variable.set("of authenticate")
        handshake.subprotocol = "b"
        return "me"

    server.on("get", lambda _socket: variable.get())
    async with running(server):
        peer = await asgi_client.connect(server.asgi, "/", [("Sec-WebSocket-Protocol", "a, b")])
        assert isinstance(peer, AsgiClient)
        assert peer.subprotocol == "b"
        client = EventClient(cast(Any, peer))
        assert await client.call("get") == "of authenticate"
        assert socket_of(server, "me").handshake.subprotocol == "b"
        await client.close()


async def test_an_authenticate_that_takes_too_long_is_refused_with_503(caplog: pytest.LogCaptureFixture) -> None:
    server = Server(limits=Limits(auth_timeout=0.02))
    ends: list[str] = []

    @server.authenticate
    async def who(handshake: Handshake) -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ends.append("cancelled")
        return "me"

    async with running(server):
        assert (await answer_of(server, "/")).status == 503
        await wait_until(lambda: ends)
    assert "authenticate did not end within 0.02 s" in caplog.text


async def test_a_stop_while_authenticate_runs_refuses_with_503(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    begun = asyncio.Event()

    @server.authenticate
    async def who(handshake: Handshake) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with running(server):
        connecting = asyncio.create_task(answer_of(server, "/"))
        await begun.wait()
        await server.stop()
        assert (await connecting).status == 503
    assert "did not end within" not in caplog.text


async def test_the_limit_on_connections_is_kept_while_many_authenticate() -> None:
    server = Server(limits=Limits(connections=2))
    may_end = asyncio.Event()

    @server.authenticate
    async def who(handshake: Handshake) -> None:
        await may_end.wait()

    async with running(server):
        connecting = [asyncio.create_task(asgi_client.connect(server.asgi)) for _ in range(5)]
        await asyncio.sleep(0)
        may_end.set()
        peers = [await each for each in connecting]
        assert sorted(each.status for each in peers if isinstance(each, Response)) == [503] * 3
        for peer in peers:
            if isinstance(peer, AsgiClient):
                peer.close()
                await peer.call


@pytest.mark.parametrize("stops", [True, False])
async def test_a_websocket_that_is_accepted_too_late_is_closed(stops: bool) -> None:
    server = Server(limits=Limits(connections=1))
    accepting, may_end = asyncio.Event(), asyncio.Event()
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(event: Any) -> None:
        sent.append(event)
        if event["type"] == "websocket.accept":
            accepting.set()
            await may_end.wait()

    async with running(server):
        scope = asgi_client.make_scope("websocket", "/", (), "127.0.0.1")
        call = asyncio.create_task(server.asgi(scope, cast(Any, receive), send))
        await accepting.wait()
        other = None if stops else await asgi_client.connect(server.asgi)
        if stops:
            await server.stop()
        may_end.set()
        async with asyncio.timeout(5):
            await call
        assert [(event["type"], event.get("code")) for event in sent[1:]] == [("websocket.close", 1013)]
        if isinstance(other, AsgiClient):
            assert len(server.sockets) == 1
            other.close()
            await other.call


async def test_an_authenticate_that_fails_is_refused_with_500(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()

    @server.authenticate
    async def who(handshake: Handshake) -> str:
        raise RuntimeError("the database is gone")

    async with running(server):
        answer = await answer_of(server, "/")
        assert (answer.status, answer.body) == (500, b"authentication failed")
    assert "the database is gone" in caplog.text


async def test_the_handshake_is_relative_to_the_mount_and_has_query_scheme_and_address() -> None:
    server = make_server(Heartbeat())
    async with running(server):
        peer = await asgi_client.connect(
            server.asgi, "/chat/a%20b?id=7&x=1", [("X-One", "1")], "10.1.2.3", root_path="/chat", scheme="wss"
        )
        assert isinstance(peer, AsgiClient)
        handshake = socket_of(server, "7").handshake
        assert (handshake.path, handshake.query, handshake.headers["x-one"]) == (
            "/a b",
            {"id": "7", "x": "1"},
            "1",
        )
        assert (handshake.remote, handshake.scheme) == ("10.1.2.3", "https")
        peer.close()
        await peer.call


async def test_a_trusted_proxy_names_the_client() -> None:
    server = Server(trusted_proxies=["10.0.0.0/8"])
    seen: list[tuple[str, str]] = []
    server.authenticate(lambda handshake: seen.append((handshake.remote, handshake.scheme)))
    async with running(server):
        fields = [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", "https")]
        peer = await asgi_client.connect(server.asgi, "/", fields, "10.1.2.3")
        assert isinstance(peer, AsgiClient)
        peer.close()
        await peer.call
    assert seen == [("1.2.3.4", "https")]


async def test_origins_and_the_limit_on_connections_are_kept() -> None:
    server = Server(origins=["https://example.com"], limits=Limits(connections=1))
    async with running(server):
        assert (await answer_of(server, "/", {"Origin": "https://evil.example"})).status == 403
        peer = await asgi_client.connect(server.asgi, "/", [("Origin", "https://example.com")])
        assert isinstance(peer, AsgiClient)
        assert (await answer_of(server, "/")).status == 503
        peer.close()
        await peer.call


async def test_a_message_that_is_too_large_is_closed_with_1009() -> None:
    server = Server(limits=Limits(max_message=100))
    async with running(server):
        peer = await asgi_client.connect(server.asgi)
        assert isinstance(peer, AsgiClient)
        peer.send_text("ü" * 51)
        close = await peer.receive()
        assert isinstance(close, Close)
        assert close.code == 1009


async def test_a_call_that_is_cancelled_ends_the_connection(server: Server) -> None:
    closes: list[int] = []
    server.on_disconnect(lambda _socket, close: closes.append(close.code))
    async with running(server):
        peer = await asgi_client.connect(server.asgi, "/?id=1")
        assert isinstance(peer, AsgiClient)
        peer.call.cancel()
        await wait_until(lambda: closes)
        assert closes == [1006]
        assert peer.call.cancelled()
        assert server.socket_of("1") is None


# Plain HTTP


async def http(server: Server, method: str, target: str, body: bytes = b"", **fields: object) -> Response:
    """Send a plain HTTP request, its body in two parts."""
    events = [
        {"type": "http.request", "body": body[:2], "more_body": True},
        {"type": "http.request", "body": body[2:], "more_body": False},
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return events.pop(0)

    async def send(event: Any) -> None:
        sent.append(event)

    await server.asgi(asgi_client.make_scope("http", target, [], "127.0.0.1", method=method, **fields), receive, send)
    start, content = sent
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return Response(start["status"], content["body"], headers)


async def test_pages_are_answered_relative_to_the_mount() -> None:
    server = Server()
    server.get("/hello", lambda request: f"hello {request.query['name']}")
    answer = await http(server, "GET", "/chat/hello?name=you", root_path="/chat")
    assert (answer.status, answer.body) == (200, b"hello you")
    assert answer.headers == {"content-length": "9", "content-type": "text/plain; charset=utf-8"}


async def test_the_answer_to_head_has_no_body() -> None:
    answer = await http(Server(), "HEAD", "/healthz")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


async def test_what_is_no_page_is_426_and_options_is_204() -> None:
    assert (await http(Server(), "GET", "/nothing")).status == 426
    answer = await http(Server(), "OPTIONS", "/")
    assert (answer.status, "content-length" in answer.headers) == (204, False)


# The lifespan


class Lifespan:
    """The lifespan of an application, as an ASGI server runs it."""

    def __init__(self, server: Server) -> None:
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.sent: list[Any] = []
        self.call = asyncio.create_task(server.asgi({"type": "lifespan"}, self.events.get, self.send))

    async def send(self, event: Any) -> None:
        self.sent.append(event)

    async def startup(self) -> Any:
        self.events.put_nowait({"type": "lifespan.startup"})
        await wait_until(lambda: self.sent)
        return self.sent.pop()

    async def shutdown(self) -> Any:
        self.events.put_nowait({"type": "lifespan.shutdown"})
        await self.call
        return self.sent.pop()


async def test_the_lifespan_starts_and_drains_the_server(server: Server) -> None:
    log: list[str] = []
    server.on_start(lambda: log.append("start"))
    server.on_stop(lambda: log.append("stop"))
    lifespan = Lifespan(server)
    assert (await lifespan.startup())["type"] == "lifespan.startup.complete"
    assert server.running
    peer = await asgi_client.connect(server.asgi, "/?id=1")
    assert isinstance(peer, AsgiClient)
    assert (await lifespan.shutdown())["type"] == "lifespan.shutdown.complete"
    close = await peer.receive()
    assert isinstance(close, Close)
    assert close.code == 1001
    assert not server.running
    assert log == ["start", "stop"]
    assert (await answer_of(server, "/")).status == 503


async def test_a_start_that_fails_is_told_to_the_asgi_server(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    @server.on_start
    def fail() -> None:
        raise RuntimeError("no database")

    lifespan = Lifespan(server)
    failure = await lifespan.startup()
    assert failure == {"type": "lifespan.startup.failed", "message": "RuntimeError: no database"}
    await lifespan.call
    assert "the server could not be started" in caplog.text


async def test_a_server_that_runs_already_is_not_started_again(server: Server) -> None:
    async with running(server):
        failure = await Lifespan(server).startup()
        assert failure["type"] == "lifespan.startup.failed"
        assert "runs already" in failure["message"]
        assert server.running


async def test_a_websocket_before_the_start_is_refused_and_the_log_names_the_missing_line(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await answer_of(server, "/?id=1")
    assert (answer.status, answer.body) == (503, b"the server was not started")
    assert "FastAPI(lifespan=server.lifespan)" in caplog.text


async def test_a_scope_of_another_type_is_an_error(server: Server) -> None:
    with pytest.raises(UsageError, match="'mqtt' can't be served"):
        await server.asgi({"type": "mqtt"}, cast(Any, None), cast(Any, None))
