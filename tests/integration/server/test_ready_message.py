"""A client that supports it gets ``$ready`` when it is let in; others get only what the original sends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import websockets

from crosswire import Close, Handshake, Reject, Server, Socket
from tests.integration.server.support import HookRecorder, Peer, connect, make_server, raw_stream, upgrade_request
from tests.support.aio import wait_until

READY = {"event": "$ready", "payload": None}


class HeldServer:
    """A server whose ``authenticate`` or ``on_connect`` waits for the test to go on."""

    def __init__(self, hook: str) -> None:
        self.server = Server("test", port=0)
        self.go = asyncio.Event()
        self.server.on("say", lambda socket, data: data)
        if hook == "authenticate":
            self.server.authenticate(self._wait)
        else:
            self.server.on_connect(self._wait)

    async def _wait(self) -> None:
        await self.go.wait()


async def all_frames(peer: Peer) -> list[str | bytes]:
    """Return the frames that arrived before the close and were not received yet."""
    frames = []
    with suppress(websockets.ConnectionClosed):
        while True:
            frames.append(await peer.receive_frame())
    return frames


@pytest.mark.parametrize("path", ["/?_cw=1", "/?id=1&_cw=2"])
async def test_a_client_that_supports_it_gets_ready(path: str) -> None:
    server = make_server()
    server.on_connect(lambda socket: socket.send("welcome"))
    async with server, connect(server, path=path) as peer:
        assert [await peer.receive(), await peer.receive()] == [{"event": "welcome", "payload": None}, READY]
        assert await peer.rest() == []


@pytest.mark.parametrize("path", ["/", "/?id=1", "/?_cw=0", "/?_cw=", "/?_cw=one", "/?cw=1"])
async def test_other_clients_do_not_get_ready(path: str) -> None:
    server = make_server()
    async with server, connect(server, path=path) as peer:
        await wait_until(lambda: server.sockets)
        assert await peer.rest() == []


async def test_ready_is_messagepack_for_a_client_of_messagepack() -> None:
    server = make_server()
    async with server, connect(server, path="/?_cw=1", subprotocols=["crosswire.msgpack"]) as peer:
        frame = await peer.receive_frame()
        assert isinstance(frame, bytes)
        assert msgspec.msgpack.decode(frame) == READY


@pytest.mark.parametrize("hook", ["authenticate", "on_connect"])
async def test_ready_comes_first_then_an_echo_then_earlier_answers(hook: str) -> None:
    held = HeldServer(hook)
    async with held.server as server, connect(server, path="/?_cw=1") as peer, connect(server) as other:
        await peer.send_text("")
        await peer.send("say", 1, callbackId="1")
        await peer.send_text("")
        assert await other.is_told_nothing()
        held.go.set()
        assert await peer.receive() == READY
        assert await peer.receive_frame() == ""
        assert await peer.receive() == {"payload": 1, "callbackId": "1"}
        assert await peer.rest() == []  # later ones are echoed one by one


@pytest.mark.parametrize("how", ["sync authenticate", "async authenticate", "on_connect", "async on_connect"])
async def test_a_refused_client_does_not_get_ready(how: str) -> None:
    server = Server("test", port=0)

    def refuse() -> None:
        raise Reject(4011, "not you")

    async def refuse_later() -> None:
        await asyncio.sleep(0)
        refuse()

    hook = refuse_later if how.startswith("async") else refuse
    if how.endswith("authenticate"):
        server.authenticate(hook)
    else:
        server.on_connect(hook)
    async with server, connect(server, path="/?_cw=1") as peer:
        assert await peer.closed() == Close(4011, "not you")
        assert await all_frames(peer) == []


async def test_a_client_closed_in_on_connect_does_not_get_ready() -> None:
    server = make_server()
    recorder = HookRecorder(server)

    @server.on_connect
    def leave(socket: Socket) -> None:
        socket.send("bye")
        socket.close(4000)

    async with server, connect(server, path="/?_cw=1") as peer:
        assert await peer.closed() == Close(4000)
        assert await all_frames(peer) == ['{"event":"bye","payload":null}']
        await wait_until(lambda: recorder.closes)


async def test_the_level_of_the_protocol_is_hidden_from_the_application() -> None:
    server, seen = Server("test", port=0), list[Any]()

    @server.authenticate
    def who(handshake: Handshake) -> None:
        seen.extend((handshake.query, handshake.query_all))

    async with server, connect(server, path="/?a=1&_cw=1"):
        assert seen == [{"a": "1"}, {"a": ["1"]}]


async def test_the_response_to_the_upgrade_names_crosswire() -> None:
    server = make_server()
    async with server, raw_stream(server) as peer:
        status, fields = await peer.request(upgrade_request())
        assert (status, fields["crosswire"]) == (101, "1")
