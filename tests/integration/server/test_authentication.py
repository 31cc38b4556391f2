"""A synchronous ``authenticate``: it decides before the upgrade."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import websockets

from crosswire import Close, ConfigError, Handshake, Reject, Server, UsageError
from tests.integration.server.support import WAIT_TIMEOUT, HookRecorder, connect, raw_stream, upgrade_request


def server_with(hook: Callable[..., Any]) -> Server:
    server = Server("test", port=0)
    server.authenticate(hook)
    server.on("me", lambda socket: socket.user)
    return server


async def test_the_returned_user_owns_the_connection() -> None:
    server = server_with(lambda handshake: "user " + handshake.query["id"])
    async with server, connect(server, "7") as peer:
        assert await peer.call("me") == "user 7"
        assert [socket.user for socket in server.sockets] == ["user 7"]
        server.user("user 7").send("hi")
        assert await peer.event() == ("hi", None)


async def test_none_gives_each_connection_a_user_of_its_own() -> None:
    server = server_with(lambda: None)
    async with server, connect(server) as one, connect(server) as two:
        names = {await one.call("me"), await two.call("me")}
        assert len(names) == 2
        assert names == {socket.user for socket in server.sockets} == {socket.id for socket in server.sockets}


async def test_without_a_hook_everybody_is_let_in() -> None:
    server = Server("test", port=0)
    async with server, connect(server) as one, connect(server) as two:
        assert len(server.sockets) == 2
        server.everyone.send("hi")
        assert await one.event() == await two.event() == ("hi", None)


@pytest.mark.parametrize("status", [400, 401, 403, 429, 503, 599])
async def test_a_status_refuses_the_upgrade(status: int) -> None:
    def refuse(handshake: Handshake) -> None:
        raise Reject(status=status, reason="not you")

    server = server_with(refuse)
    recorder = HookRecorder(server)
    async with server:
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with connect(server):
                pass
        assert refused.value.response.status_code == status
        assert refused.value.response.body == b"not you"
        assert server.sockets == ()
        assert not recorder.connected
        assert not recorder.closes
        assert not recorder.errors


async def test_a_code_closes_after_the_upgrade() -> None:
    def refuse(handshake: Handshake) -> None:
        raise Reject(4011, "Auth failure")

    server, calls = server_with(refuse), list[int]()
    recorder = HookRecorder(server)
    server.on("say", lambda: calls.append(1))
    server.on_message(lambda: calls.append(2))
    async with server, connect(server) as peer:
        assert await peer.closed() == Close(4011, "Auth failure")
        assert server.sockets == ()
        assert not recorder.connected
        assert not recorder.closes
        assert not recorder.errors
        assert calls == []


async def test_messages_sent_with_the_request_of_a_refused_client_are_not_delivered() -> None:
    def refuse(handshake: Handshake) -> None:
        raise Reject(3000)

    server, calls = server_with(refuse), list[int]()
    server.on("say", lambda: calls.append(1))
    async with server, raw_stream(server) as peer:
        peer.writer.write(upgrade_request())
        peer.send_event("say", callbackId="a")
        assert (await peer.request(b""))[0] == 101
        code, before = await peer.until_close()
        assert (code, before, calls) == (3000, [], [])


@pytest.mark.parametrize("error", [ValueError("sesame"), asyncio.CancelledError(), UsageError("x")], ids=repr)
async def test_a_hook_that_fails_refuses_with_500(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    def fail(handshake: Handshake) -> None:
        raise error

    server = server_with(fail)
    async with server:
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with connect(server):
                pass
        assert refused.value.response.status_code == 500
        assert b"sesame" not in (refused.value.response.body or b"")
        assert server.sockets == ()
    assert "authenticate failed" in caplog.text


@pytest.mark.parametrize("user", [5, "", b"7", ["7"], object()], ids=lambda user: type(user).__name__)
async def test_an_invalid_user_refuses_with_500(user: Any, caplog: pytest.LogCaptureFixture) -> None:
    server = server_with(lambda: user)
    async with server:
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with connect(server):
                pass
        assert refused.value.response.status_code == 500
    assert "authenticate failed" in caplog.text


async def test_the_hook_gets_the_handshake() -> None:
    got = list[Handshake]()

    def look(handshake: Handshake) -> str:
        got.append(handshake)
        return "1"

    server = server_with(look)
    path = "/chat/a%20b?token=s%26t&x=1&x=2&empty="
    async with server, connect(server, path=path, additional_headers={"X-Api-Key": "k", "Cookie": "a=b"}) as peer:
        await peer.call("me")
        (handshake,) = got
        assert handshake is next(iter(server.sockets)).handshake
        assert handshake.path == "/chat/a b"
        assert handshake.query == {"token": "s&t", "x": "2", "empty": ""}
        assert handshake.query_all == {"token": ["s&t"], "x": ["1", "2"], "empty": [""]}
        assert handshake.headers["x-api-key"] == handshake.headers["X-API-KEY"] == "k"
        assert handshake.headers.get("cookie") == "a=b"
        assert "no-such" not in handshake.headers
        assert handshake.remote == "127.0.0.1"
        assert handshake.subprotocol is None


def test_there_is_one_hook() -> None:
    server = server_with(lambda: None)
    with pytest.raises(ConfigError):
        server.authenticate(lambda: None)


async def test_events_in_the_same_packet_as_the_request_are_delivered() -> None:
    server = server_with(lambda: "1")
    server.on("say", lambda socket, data: data)
    async with server, raw_stream(server) as peer:
        peer.writer.write(upgrade_request())
        peer.send_event("say", 5, callbackId="a")
        assert (await peer.request(b""))[0] == 101
        assert await asyncio.wait_for(peer.frame(), WAIT_TIMEOUT) == (1, b'{"payload":5,"callbackId":"a"}')
