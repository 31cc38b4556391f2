"""Metrics of a server after known traffic, scraped over HTTP."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from crosswire import ConfigError, EventError, Handshake, Limits, Reject, Server, Socket
from crosswire.integrations.prometheus import asgi_app, collector
from crosswire.testing import connect as in_memory
from tests.integration.server.support import connect, make_server, raw_connect
from tests.support.aio import wait_until
from tests.support.scrapes import Scrape, scrape

parsed: Any = text_string_to_metric_families  # it has no types


def measured_server(**options: Any) -> Server:
    server = make_server(metrics=True, **options)

    @server.on("join")
    async def join(socket: Socket, room: str) -> None:
        await socket.join("chat", room)

    @server.on("say")
    def say(socket: Socket, text: str) -> str:
        server.room("chat", "1").send("said", text)
        return text

    @server.on("whisper")
    def whisper(socket: Socket, user: str) -> None:
        server.user(user).send("whispered", "psst")

    @server.on("shout")
    def shout(socket: Socket) -> None:
        server.everyone.send("shouted", None, exclude=[socket])

    @server.on("refuse")
    def refuse(socket: Socket, code: str) -> None:
        raise EventError(code, "no")

    @server.on("fail")
    def fail(socket: Socket) -> None:
        raise ValueError("sesame")

    @server.on("push")
    def push(socket: Socket) -> None:
        socket.send("pushed", {"a": "é"})

    return server


async def test_connections_users_and_rooms_are_those_of_now() -> None:
    server = measured_server(duplicates="allow")
    async with server, connect(server, "1") as one, connect(server, "1") as two:
        await one.call("join", "1")
        await two.call("join", "2")
        now = await scrape(server.port)
        assert now.value("crosswire_connections", node="test") == 2
        assert now.value("crosswire_users", node="test") == 1
        assert now.value("crosswire_rooms", node="test") == 2
        assert now.value("crosswire_nodes") == 1
        assert now.value("crosswire_outbox_bytes") == 0
        await one.ws.close(3999)
        await two.ws.close(1000)
        await wait_until(lambda: not server.sockets)
        now = await scrape(server.port)
        assert now.value("crosswire_connections") == 0
        assert now.value("crosswire_connections_opened_total") == 2
        assert now.value("crosswire_connections_closed_total", code="1000") == 1
        assert now.value("crosswire_connections_closed_total", code="other") == 1


async def test_messages_and_their_bytes_are_counted_by_event() -> None:
    server = measured_server()
    async with server, connect(server, "1") as one, connect(server, "2") as two, connect(server) as three:
        for peer in (one, two):
            await peer.call("join", "1")
        text = '{"event":"say","payload":"é","callbackId":"x"}'
        await one.send_text(text)
        assert [(await one.receive())["payload"] for _ in range(2)] == ["é", "é"]
        await two.receive()
        await one.send("whisper", "2")
        assert await two.receive() == {"event": "whispered", "payload": "psst"}
        await one.send("shout")
        for peer in (two, three):
            assert (await peer.receive())["event"] == "shouted"
        await three.send("push")
        assert (await three.receive())["event"] == "pushed"
        now = await scrape(server.port)

    assert now.value("crosswire_messages_received_total", event="say") == 1
    assert now.value("crosswire_received_bytes_total", event="say") == len(text.encode())
    assert now.value("crosswire_messages_received_total", event="join") == 2
    assert now.value("crosswire_messages_received_total") == 6
    sent = {event: now.value("crosswire_messages_sent_total", event=event) for event in ("said", "say", "join")}
    assert sent == {"said": 2, "say": 1, "join": 2}
    assert now.value("crosswire_messages_sent_total", event="whispered") == 1
    assert now.value("crosswire_messages_sent_total", event="shouted") == 2
    said, pushed = '{"event":"said","payload":"é"}', '{"event":"pushed","payload":{"a":"é"}}'
    assert now.value("crosswire_sent_bytes_total", event="said") == 2 * len(said.encode())
    assert now.value("crosswire_sent_bytes_total", event="pushed") == len(pushed.encode())
    assert now.value("crosswire_sent_bytes_total", event="say") == len('{"payload":"é","callbackId":"x"}'.encode())
    assert now.value("crosswire_fanout_recipients_count") == 2  # a message to one user is none
    assert now.value("crosswire_fanout_recipients_sum") == 4
    assert now.value("crosswire_call_seconds_count", event="say") == 1
    assert now.value("crosswire_call_seconds_count") == 3
    assert 0 < now.value("crosswire_call_seconds_sum", event="say") < 5


async def test_no_client_can_make_a_label() -> None:
    server = measured_server()
    async with server, connect(server) as peer:
        for number in range(300):
            await peer.send(f"invented-{number}")
        await peer.send_text("no message")
        await peer.refused("invented")
        now = await scrape(server.port)
    assert now.labels("crosswire_messages_received_total", "event") == {"other"}
    assert now.value("crosswire_messages_received_total") == 302
    assert now.value("crosswire_messages_dropped_total", reason="no message") == 1
    assert now.value("crosswire_calls_refused_total", code="NO_HANDLER") == 1
    assert now.labels("crosswire_call_seconds_count", "event") == set()


async def test_an_application_that_passes_on_names_makes_a_hundred_labels_and_no_more() -> None:
    server = measured_server()

    @server.on("relay")
    def relay(socket: Socket, names: list[str]) -> None:
        for name in names:
            server.everyone.send(name, None)
            socket.send(name)

    async with server, connect(server) as peer:
        await peer.send("relay", [*(f"name-{number}" for number in range(150)), "x" * 101, 'a"\\\n'])
        for _ in range(2 * 152):
            await peer.receive()
        now = await scrape(server.port)
    labels = now.labels("crosswire_messages_sent_total", "event")
    assert len(labels) == 101
    assert labels > {"other", "name-0"}
    assert now.value("crosswire_messages_sent_total") == 2 * 152


async def test_refusals_drops_and_errors_are_counted_by_reason() -> None:
    server = measured_server(origins=["https://example.com"])

    @server.on_connect
    def note(socket: Socket) -> None: ...

    @server.on("number")
    def number(socket: Socket, data: int) -> None: ...

    async with server:
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}):
            async with httpx.AsyncClient() as client:
                upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
                key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
                answer = await client.get(f"http://127.0.0.1:{server.port}/", headers={**upgrade, **key, **headers})
                assert answer.status_code == 403
        async with connect(server) as peer:
            await peer.refused("refuse", "made up by the application")
            await peer.refused("fail")
            await peer.send("number", "no number")
            await peer.send("fail")
            await peer.call("say", "x")
            now = await scrape(server.port)
    assert now.value("crosswire_connections_refused_total", code="403") == 2
    assert now.value("crosswire_calls_refused_total", code="other") == 1
    assert now.value("crosswire_calls_refused_total", code="HANDLER_ERROR") == 1
    assert now.value("crosswire_messages_dropped_total", reason="invalid payload") == 1
    assert now.value("crosswire_handler_errors_total") == 2


async def test_a_client_that_authenticate_refuses_is_counted_by_its_close_code() -> None:
    server = Server("test", port=0, metrics=True)

    @server.authenticate
    async def refuse(handshake: Handshake) -> str:
        raise Reject(4011, "no")

    async with server, connect(server) as peer:
        assert (await peer.closed()).code == 4011
        now = await scrape(server.port)
    assert now.value("crosswire_connections_refused_total", code="4011") == 1


async def test_calls_of_clients_are_timed() -> None:
    server = measured_server()

    @server.on("ask")
    async def ask(socket: Socket) -> None:
        server.everyone.send("answer", await socket.call("question", 1))

    async with server, connect(server) as peer:
        await peer.send("ask")
        call = await peer.receive()
        await peer.send_text(f'{{"callId": "{call["callId"]}", "payload": 2}}')
        assert (await peer.receive())["payload"] == 2
        assert not (await server.everyone.gather("all", timeout=0.01)).complete
        now = await scrape(server.port)
    assert now.value("crosswire_client_call_seconds_count", event="question") == 1
    assert now.value("crosswire_messages_sent_total", event="question") == 1
    assert now.value("crosswire_messages_sent_total", event="all") == 1
    assert now.value("crosswire_messages_received_total", event="other") == 1


async def test_an_outbox_that_fills_up_shows_before_its_connection_is_dropped() -> None:
    server = measured_server(limits=Limits(outbox=1_000_000))
    async with server, raw_connect(server, "1", receive_buffer=4096):
        (socket,) = server.sockets
        while socket.buffered < 500_000:
            socket.send("much", "x" * 100_000)
            await asyncio.sleep(0)
        assert (await scrape(server.port)).value("crosswire_outbox_bytes") >= 500_000
        while socket.is_open:
            socket.send("much", "x" * 100_000)
            await asyncio.sleep(0)
        await wait_until(lambda: not server.sockets)
        now = await scrape(server.port)
        assert now.value("crosswire_outbox_bytes") == 0
        assert now.value("crosswire_connections_closed_total", code="1013") == 1


async def test_a_server_without_metrics_has_no_page_of_them() -> None:
    server = make_server()
    async with server, httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{server.port}/metrics")).status_code == 426


async def test_open_metrics_are_served_to_those_who_ask_for_them() -> None:
    server = measured_server()
    async with server, httpx.AsyncClient() as client:
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        answer = await client.get(f"http://127.0.0.1:{server.port}/metrics", headers=accept)
        assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        families = {each.name for each in parsed(answer.text)}
        assert "crosswire_messages_sent" in families


async def test_a_registry_and_an_asgi_application_have_the_metrics_of_a_server_without_the_page() -> None:
    server, registry = make_server(), CollectorRegistry()
    registry.register(collector(server))
    application = asgi_app(server)
    server.on("say", lambda socket: "x")
    async with server, connect(server) as peer:
        await peer.call("say")
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://metrics") as client:
            answer = await client.get("/anything")
            assert (await client.post("/")).status_code == 405
            assert (await client.head("/")).content == b""
        for text in (answer.text, generate_latest(registry).decode()):
            assert Scrape(text).value("crosswire_messages_received_total", event="say", node="test") == 1


async def test_the_page_is_there_beside_an_application_on_the_port() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http", scope["type"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the application's"})

    server = measured_server(app=application)
    async with server, connect(server) as peer, httpx.AsyncClient() as client:
        await peer.call("say", "x")
        assert (await scrape(server.port)).value("crosswire_messages_received_total", event="say") == 1
        answer = await client.get(f"http://127.0.0.1:{server.port}/other")
        assert answer.text == "the application's"


async def test_the_page_is_there_in_an_asgi_application() -> None:
    server = measured_server()
    async with server.lifespan(), in_memory(server, "/?id=1") as peer:
        await peer.call("say", "x")
        transport = httpx.ASGITransport(app=server.asgi)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            now = Scrape((await client.get("/metrics")).text)
    assert now.value("crosswire_messages_received_total", event="say") == 1


async def test_metrics_can_only_be_asked_for_before_the_start() -> None:
    server = make_server()
    async with server:
        with pytest.raises(ConfigError, match="the node runs already: configure metrics and tracing before"):
            collector(server)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigError, match=r"pip install 'crosswire\[prometheus\]'"):
        Server(port=0, metrics=True)
    Server(port=0)


def test_the_option_is_a_bool() -> None:
    with pytest.raises(ConfigError, match="metrics"):
        Server(metrics="yes")  # type: ignore[arg-type]
