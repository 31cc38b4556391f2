"""The subprotocol ``crosswire.msgpack``, and JSON in binary frames without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from websockets.typing import Subprotocol

from crosswire import EventError, InvalidPayload, Server, Socket
from tests.integration.server.support import BINARY, WAIT_TIMEOUT, HookRecorder, Peer, connect, make_server, raw_connect

OURS = Subprotocol("crosswire.msgpack")


class Point(msgspec.Struct):
    x: int


class MsgpackPeer:
    """A client that speaks MessagePack."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    async def send(self, **message: Any) -> None:
        await self.peer.ws.send(msgspec.msgpack.encode(message))

    async def receive(self) -> Any:
        frame = await self.peer.receive_frame()
        assert isinstance(frame, bytes)
        return msgspec.msgpack.decode(frame)

    async def nothing_more(self) -> None:
        await self.peer.ws.send("")
        assert await self.peer.receive_frame() == ""


@asynccontextmanager
async def connect_msgpack(server: Server, user: str, **options: Any) -> AsyncIterator[MsgpackPeer]:
    async with connect(server, user, subprotocols=[Subprotocol("other"), OURS], **options) as peer:
        assert peer.ws.subprotocol == OURS
        yield MsgpackPeer(peer)


async def test_events_and_calls() -> None:
    server = make_server()

    @server.on("point")
    def point(socket: Socket, data: Point) -> Any:
        assert socket.handshake.subprotocol == OURS
        return {"x": data.x, "raw": b"\x00\xff"}

    @server.on("refuse")
    def refuse() -> None:
        raise EventError("full", "no")

    server.on("echo", lambda socket, data: data)
    async with server, connect_msgpack(server, "1") as peer:
        await peer.send(event="point", payload={"x": 5}, callbackId="a")
        assert await peer.receive() == {"payload": {"x": 5, "raw": "AP8="}, "callbackId": "a"}
        await peer.send(event="point", payload={"x": "5"}, callbackId="b")
        assert (await peer.receive())["error"]["code"] == "INVALID_PAYLOAD"
        await peer.send(event="refuse", callbackId="c")
        assert await peer.receive() == {"callbackId": "c", "error": {"code": "full", "message": "no"}}
        await peer.send(event="nothing", callbackId="d")
        assert (await peer.receive())["error"]["code"] == "NO_HANDLER"
        for value in (None, {"a": [1, 2.5, "é"]}, 2**63):
            await peer.send(event="echo", payload=value, callbackId="e")
            assert await peer.receive() == {"payload": value, "callbackId": "e"}
        await peer.send(event="echo", callbackId="f")
        assert await peer.receive() == {"payload": None, "callbackId": "f"}


async def test_audiences_reach_each_in_its_own_form() -> None:
    server = make_server()
    recorder = HookRecorder(server)
    async with (
        server,
        connect_msgpack(server, "1") as one,
        connect(server, "2") as two,
        connect_msgpack(server, "3") as three,
    ):
        for socket in recorder.connected:
            await socket.join("chat", "a")
        server.everyone.send("n", 1)
        server.room("chat", "a").send("n", 2)
        server.users(["1", "2", "3"]).send("n", 3)
        for number in (1, 2, 3):
            expected = {"event": "n", "payload": number}
            assert await one.receive() == await three.receive() == await two.receive() == expected


async def test_data_that_has_no_json_form_reaches_nobody() -> None:
    server = make_server()
    async with server, connect(server, "1") as one, connect_msgpack(server, "2") as two, connect(server, "3") as three:
        with pytest.raises(InvalidPayload):
            server.everyone.send("n", {True: 1})  # MessagePack would have one
        assert await one.rest() == await three.rest() == []
        await two.nothing_more()


async def test_the_server_calls() -> None:
    server = make_server()
    recorder = HookRecorder(server)
    async with server, connect_msgpack(server, "1") as one, connect(server, "2"):
        call = asyncio.create_task(recorder.connected[0].call("ask", 1))
        asked = await one.receive()
        await one.send(callId=asked["callId"], payload=b"\x01")
        assert await call == b"\x01"
        gathering = asyncio.create_task(server.users(["1", "2"]).gather("ask", timeout=1))
        asked = await one.receive()
        await one.send(callId=asked["callId"], error={"code": "no"})
        replies = await gathering
        assert (replies.errors["1"].code, replies.missing) == ("no", ("2",))


BAD = [
    b"",
    b"\xc1",
    b"\xff" * 100,
    b"\x91" * 100_000,
    b"\x81\xa5event",
    msgspec.msgpack.encode([1]),
    msgspec.msgpack.encode({"event": 5, "callbackId": "a"}),
    msgspec.msgpack.encode({"event": b"say"}),
    msgspec.msgpack.encode({"event": "say", "callbackId": 5}),
    msgspec.msgpack.encode({"event": "say", "callbackId": "x" * 65}),
    b'{"event":"say","payload":1}',
    msgspec.msgpack.encode({"event": "say"}) + b"more",
]


@pytest.mark.parametrize("number", range(len(BAD)))
async def test_bad_input(number: int) -> None:
    server, calls = make_server(), list[int]()
    server.on("say", lambda: calls.append(1))
    async with server, connect_msgpack(server, "1") as peer:
        await peer.peer.ws.send(BAD[number])
        await peer.nothing_more()
        assert calls == []
        await peer.send(event="say", callbackId="a")
        assert await peer.receive() == {"payload": None, "callbackId": "a"}


async def test_a_deep_payload_is_refused() -> None:
    server = make_server()
    server.on("say", lambda socket, data: data)
    async with server, connect_msgpack(server, "1") as peer:
        head = b"\x83" + b"".join(map(msgspec.msgpack.encode, ("event", "say", "callbackId", "a", "payload")))
        await peer.peer.ws.send(head + b"\x91" * 100_000 + b"\xc0")
        await peer.send(event="say", payload=1, callbackId="b")
        answers = [await peer.receive()]
        if answers[0]["callbackId"] == "a":
            assert answers[0]["error"]["code"] in ("INVALID_PAYLOAD", "INVALID_MESSAGE")
            answers = [await peer.receive()]
        assert answers == [{"payload": 1, "callbackId": "b"}]


async def test_a_text_frame_from_such_a_client_is_read_as_json() -> None:
    server = make_server()
    server.on("say", lambda socket, data: data)
    async with server, connect_msgpack(server, "1") as peer:
        await peer.peer.send("say", "text", callbackId="a")
        assert await peer.receive() == {"payload": "text", "callbackId": "a"}


async def test_binary_json_without_the_subprotocol() -> None:
    server = make_server()
    server.on("say", lambda socket, data: data)
    async with server, connect(server) as peer:
        await peer.ws.send('{"event":"say","payload":"é漢🎉","callbackId":"a"}'.encode())
        assert await peer.receive_frame() == '{"payload":"é漢🎉","callbackId":"a"}'
        for bad in (b"\xff\xfe", b'{"event":"say","payload":"\xff","callbackId":"b"}', b"\x81\xa5event\xa3say"):
            await peer.ws.send(bad)
        assert [message.get("callbackId") for message in await peer.rest()] in ([], ["b"])
        assert await peer.call("say", 1) == 1


async def test_frames_are_binary() -> None:
    server = make_server()
    server.on("say", lambda: None)
    async with server, raw_connect(server, sec_websocket_protocol="a, crosswire.msgpack") as peer:
        peer.send(BINARY, msgspec.msgpack.encode({"event": "say", "callbackId": "a"}))
        opcode, payload = await peer.frame(WAIT_TIMEOUT)
        assert (opcode, msgspec.msgpack.decode(payload)) == (BINARY, {"payload": None, "callbackId": "a"})
