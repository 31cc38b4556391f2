"""Messages that are lost or refused are reported, to the caller, ``on_error`` or the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import pytest
import websockets

import crosswire.testing
from crosswire import EventError, Limits, Reject, Server, Socket
from tests.integration.server.support import HookRecorder, Peer, connect, make_server, url_of
from tests.support.aio import wait_until

SECRET = "s3cret"


class Kind(msgspec.Struct):
    kind: Literal["a", "b"]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


async def settled(peer: Peer) -> None:
    """Wait until the server has taken all that was sent."""
    await peer.rest()


def refuse() -> None:
    raise EventError("full", "the room is full")


async def refuse_later() -> None:
    await asyncio.sleep(0)
    raise EventError("full", "the room is full")


def of_event(server: Server, handler: Callable[..., Any]) -> None:
    server.on("x", handler)


def of_hook(server: Server, handler: Callable[..., Any]) -> None:
    server.on_message(handler)


def of_heartbeats(server: Server, handler: Callable[..., Any]) -> None:
    server.on_heartbeat(handler)


def of_connections(server: Server, handler: Callable[..., Any]) -> None:
    server.on_connect(handler)


@pytest.mark.parametrize("attach", [of_event, of_hook, of_heartbeats, of_connections])
@pytest.mark.parametrize("handler", [refuse, refuse_later])
@pytest.mark.parametrize("hooked", [True, False], ids=["on_error", "no on_error"])
async def test_a_refusal_without_a_caller_goes_to_on_error_or_else_to_the_log(
    attach: Callable[[Server, Callable[..., Any]], None],
    handler: Callable[..., Any],
    hooked: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = make_server()
    attach(server, handler)
    server.on("x", lambda: None)
    errors: list[BaseException] = []
    if hooked:
        server.on_error(lambda socket, error: errors.append(error))
    async with server, connect(server, "1") as peer:
        await peer.send("x")
        await settled(peer)
        await wait_until(lambda: errors if hooked else warnings(caplog))
    assert all(isinstance(error, EventError) and error.code == "full" for error in errors)
    assert bool(warnings(caplog)) != hooked
    assert hooked or "full: the room is full" in warnings(caplog)[0]


async def test_a_refusal_of_a_call_is_reported_to_the_caller_only(caplog: pytest.LogCaptureFixture) -> None:
    server = make_server()
    server.on("x", refuse)
    recorder = HookRecorder(server)
    async with server, connect(server, "1") as peer:
        assert await peer.refused("x") == ("full", "the room is full")
    assert (recorder.errors, warnings(caplog)) == ([], [])


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ('{"event":"x","payload":"\\ud83d"}', "is no message"),  # half an emoji, as slice() leaves it
        ("no json", "is no message"),
        ("[]", "is no message"),
        ('{"event":1}', "is no message"),
        ('{"payload":1}', "without an event"),
        ('{"event":"x","callbackId":""}', "whose id is not 1-64"),
        ('{"event":"x","callbackId":"' + "y" * 65 + '"}', "whose id is not 1-64"),
        ('{"event":"typo"}', "no handler for the event 'typo'"),
        ('{"event":"$typo"}', "no handler for the event '$typo'"),
        ('{"event":"a\\nb"}', "no handler for the event 'a\\nb'"),
        ('{"event":"typed","payload":{"kind":"' + SECRET + '"}}', "INVALID_PAYLOAD"),
        ('{"event":"typed","payload":"' + SECRET + '"}', "INVALID_PAYLOAD"),
    ],
)
async def test_an_ignored_message_is_logged(message: str, says: str, caplog: pytest.LogCaptureFixture) -> None:
    server = make_server()
    server.on("x", lambda socket, data: None)

    @server.on("typed")
    def typed(socket: Socket, data: Kind) -> None: ...

    async with server, connect(server, "1") as peer:
        await peer.send_text(message)
        await settled(peer)
        (line,) = warnings(caplog)
    assert says in line
    assert "user='1'" in line
    assert line.isprintable()
    assert SECRET not in caplog.text


async def test_an_unhandled_event_is_logged_once_for_each_of_a_few_names(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = make_server()
    async with server, connect(server, "1") as peer:
        for _ in range(3):
            await peer.send("typo")
            assert (await peer.refused("typo"))[0] == "NO_HANDLER"
        await peer.send("other")
        await settled(peer)
        assert len(warnings(caplog)) == 2
        for number in range(300):
            await peer.send(f"made up {number}")
        await settled(peer)
    assert 3 <= len(warnings(caplog)) < 50  # a few a second


@pytest.mark.parametrize("message", ["no json", '{"event":"typo"}', '{"payload":1}'])
async def test_with_on_message_no_ignored_message_is_logged(message: str, caplog: pytest.LogCaptureFixture) -> None:
    server = make_server()
    raw: list[str | bytes] = []
    server.on_message(lambda socket, data: raw.append(data))
    async with server, connect(server, "1") as peer:
        await peer.send_text(message)
        await settled(peer)
    assert raw == [message]
    assert warnings(caplog) == []


async def test_a_flood_of_losses_is_logged_in_one_line_a_second(caplog: pytest.LogCaptureFixture) -> None:
    server = make_server()
    async with server, connect(server, "1") as peer:
        for _ in range(500):
            await peer.send_text("no json")
        await settled(peer)
        await wait_until(lambda: len(warnings(caplog)) >= 2)
        assert len(warnings(caplog)) <= 3
    assert "more of these were not logged" in warnings(caplog)[1]


async def test_no_event_is_lost_while_handlers_are_full(caplog: pytest.LogCaptureFixture) -> None:
    server, go, done = make_server(limits=Limits(handlers=1)), asyncio.Event(), list[int]()
    errors: list[BaseException] = []
    server.on_error(lambda socket, error: errors.append(error))

    @server.on("x")
    async def slow(socket: Socket, data: int) -> None:
        await go.wait()
        done.append(data)

    async with server, connect(server, "1") as peer:
        for number in range(3):
            await peer.send("x", number)
        assert (await peer.refused("x", 3))[0] == "BUSY"  # the time for which calls wait is over
        go.set()
        await wait_until(lambda: len(done) == 3)
    assert (done, errors, warnings(caplog)) == ([0, 1, 2], [], [])


async def refused_upgrade(server: Server, **options: Any) -> int:
    with pytest.raises(websockets.InvalidStatus) as raised:
        async with websockets.connect(url_of(server, options.pop("path", "/")), proxy=None, **options):
            pass
    return raised.value.response.status_code


@pytest.mark.parametrize(("status", "says"), [(401, "go away"), (404, "go away"), (429, "go away")])
async def test_an_upgrade_that_authenticate_refuses_is_logged(
    status: int, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server("test", port=0)

    @server.authenticate
    def nobody() -> str:
        raise Reject(status=status, reason=says)

    async with server:
        assert await refused_upgrade(server, path=f"/?token={SECRET}") == status
    (line,) = warnings(caplog)
    assert all(part in line for part in (str(status), says, "127.0.0.1"))
    assert SECRET not in caplog.text


async def test_an_upgrade_refused_for_its_origin_or_the_limit_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = make_server(origins=["https://a.example"], limits=Limits(connections=1))
    async with server:
        assert await refused_upgrade(server, origin="https://b.example") == 403
        assert "403" in warnings(caplog)[-1]
        assert "'https://b.example'" in warnings(caplog)[-1]
        async with connect(server, "1"):
            assert await refused_upgrade(server) == 503
        assert "503" in warnings(caplog)[-1]


@pytest.mark.parametrize("error", [EventError("x"), ValueError("y"), 5])
async def test_an_authenticate_that_fails_is_logged_whatever_it_raises(
    error: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server("test", port=0)

    @server.authenticate
    def fails() -> Any:
        if isinstance(error, Exception):
            raise error
        return error

    async with server:
        assert await refused_upgrade(server) == 500
    assert "authenticate failed" in caplog.text


@pytest.mark.parametrize(
    "fields",
    [
        "Connection: close\r\n",  # what nginx sends if it is not told otherwise, but over HTTP/1.0
        "Connection: close\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade\r\n",
    ],
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("path", ["/chat", "/healthz"])
async def test_an_upgrade_whose_header_a_proxy_removed_is_logged(
    caplog: pytest.LogCaptureFixture, fields: str, version: str, path: str
) -> None:
    async with make_server() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        asks = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n"
        writer.write(f"GET {path} HTTP/{version}\r\nHost: x\r\n{fields}{asks}\r\n".encode())
        assert (await reader.read()).startswith(b"HTTP/1.")
        writer.close()
    (line,) = warnings(caplog)
    assert "proxy" in line
    assert "Connection: Upgrade" in line


async def test_an_authenticate_that_does_not_end_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    server = Server("test", port=0, limits=Limits(auth_timeout=0.05))
    server.authenticate(lambda handshake: asyncio.sleep(60, "1"))
    async with server, connect(server) as peer:
        assert (await peer.closed()).code == 1013
    assert "authenticate did not end within 0.05 s" in warnings(caplog)[0]


async def test_a_client_that_does_not_read_and_is_dropped_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    server = make_server(limits=Limits(outbox=1000))
    recorder = HookRecorder(server)
    async with crosswire.testing.connect(server, "/?id=1") as client:
        client.peer.pause_reading()
        for _ in range(100):
            server.user("1").send("x", "-" * 10_000)
            await asyncio.sleep(0)
        await wait_until(lambda: recorder.closes)
        assert recorder.closes[0][1].code == 1013
    assert "does not read" in warnings(caplog)[0]


async def test_an_error_in_on_stop_does_not_keep_the_node_from_stopping() -> None:
    server = make_server()
    server.on_stop(refuse)
    await server.start()
    with pytest.raises(EventError):
        await server.stop()
    assert not server.running
    assert not server.cluster.running
