"""Messages of an event that a server without others has sent before: they take a shorter way, and do the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
import pytest
from websockets import Subprotocol

from crosswire import InvalidPayload, NotConnected, Server, Socket, UsageError
from crosswire.core.audience import Audience
from tests.integration.server.support import Peer, connect, make_server
from tests.support.aio import wait_until

AUDIENCES: dict[str, Callable[[Server], Audience]] = {
    "everyone": lambda server: server.everyone,
    "room": lambda server: server.room("chat", "1"),
    "users": lambda server: server.users(["1", "2"]),
    "user": lambda server: server.user("1"),
}


class Sending(NamedTuple):
    """An audience of a server, and one of its clients."""

    server: Server
    audience: Audience
    peer: Peer


@asynccontextmanager
async def sending(audience: Callable[[Server], Audience]) -> AsyncIterator[Sending]:
    """Run a server that has sent a message of the event "x" already."""
    server = make_server()

    @server.on_connect
    async def join(socket: Socket) -> None:
        await socket.join("chat", "1")

    async with server, connect(server, "1") as peer:
        assert await peer.rest() == []
        tested = Sending(server, audience(server), peer)
        tested.audience.send("x", 0)
        assert await peer.receive_frame() == '{"event":"x","payload":0}'
        yield tested


with_each_audience = pytest.mark.parametrize("audience", AUDIENCES.values(), ids=AUDIENCES.keys())


@with_each_audience
async def test_it_is_the_same_text(audience: Callable[[Server], Audience]) -> None:
    async with sending(audience) as tested:
        for data in (None, "é", [1, {"a": 2.5}], msgspec.Raw(b"[ ]")):
            tested.audience.send("x", data)
            expected = msgspec.json.encode({"event": "x", "payload": data}).decode()
            assert await tested.peer.receive_frame() == expected


@with_each_audience
async def test_data_that_is_unset_is_left_out_each_time(audience: Callable[[Server], Audience]) -> None:
    async with sending(audience) as tested:
        for event in ("x", "first"):
            tested.audience.send(event, msgspec.UNSET)
            assert await tested.peer.receive_frame() == f'{{"event":"{event}"}}'


@with_each_audience
async def test_a_policy_that_is_declared_later_counts(audience: Callable[[Server], Audience]) -> None:
    async with sending(audience) as tested:
        tested.server.policy("x", "latest", key="id")
        for _ in range(2):
            with pytest.raises(InvalidPayload, match="'id'"):
                tested.audience.send("x", {})
        tested.server.policy("x", "close")
        tested.audience.send("x", {})
        assert await tested.peer.event() == ("x", {})


async def test_a_client_that_wants_messagepack_gets_it() -> None:
    async with (
        sending(AUDIENCES["everyone"]) as tested,
        connect(tested.server, "2", subprotocols=[Subprotocol("crosswire.msgpack")]) as other,
    ):
        await wait_until(lambda: len(tested.server.sockets) == 2)
        for number in range(2):
            tested.audience.send("x", number)
            assert await tested.peer.event() == ("x", number)
            packed = await other.receive_frame()
            assert isinstance(packed, bytes)
            assert msgspec.msgpack.decode(packed) == {"event": "x", "payload": number}


@with_each_audience
async def test_another_thread_sends_as_the_event_loops_does(audience: Callable[[Server], Audience]) -> None:
    async with sending(audience) as tested:
        for event in ("x", "of the thread") * 2:
            await asyncio.to_thread(tested.audience.send, event, 1)
            assert await tested.peer.event() == (event, 1)


@with_each_audience
async def test_what_can_not_be_sent_is_refused_each_time(audience: Callable[[Server], Audience]) -> None:
    events: list[Any] = ["", "$x", 5, None, ["x"], "\ud800"]
    async with sending(audience) as tested:
        for event in events * 2:
            with pytest.raises(UsageError):
                tested.audience.send(event)
        for _ in range(2):
            with pytest.raises(InvalidPayload, match="JSON"):
                tested.audience.send("x", object())
        tested.audience.send("x", 1)
        assert await tested.peer.event() == ("x", 1)


async def test_a_room_that_keeps_history_keeps_it() -> None:
    server = make_server()
    server.history("kept", size=10, ttl=60)
    async with server:
        for number in range(3):
            server.room("chat", "1").send("x", number)
            server.room("kept", "1").send("x", number)
            await server.room("kept", "1").publish("y", number)  # is kept behind the other
        page = await server.room("kept", "1").history()
    assert [(each.event, each.data) for each in page.messages] == [(e, n) for n in range(3) for e in ("x", "y")]


@with_each_audience
async def test_a_server_that_was_stopped_sends_nothing(audience: Callable[[Server], Audience]) -> None:
    async with sending(audience) as tested:
        pass
    with pytest.raises(NotConnected):
        tested.audience.send("x", 1)
