"""``call``, ``gather`` and ``stream`` with ``type=``: answers are converted, or refused."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict

import msgspec
import pytest

from crosswire import ConfigError, InvalidPayload, MemoryBus, Node, Socket
from crosswire.cluster.interface import Bus
from tests.integration.cluster.support import client, make_server, running, running_nodes

MSGPACK = {"Sec-WebSocket-Protocol": "crosswire.msgpack"}


class Answer(msgspec.Struct):
    when: datetime
    counts: dict[int, int] = {}


@dataclass
class Point:
    x: int


class Named(TypedDict):
    name: str


NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
ANSWER = {"when": NOON.isoformat(), "counts": {"1": 2}}


async def test_answers_of_nodes_are_converted(bus: Bus) -> None:
    async with running_nodes(bus, "a", "b") as (a, b):
        for node, answer in ((a, {"x": 1}), (b, {"x": "1"})):
            node.on("point", lambda sender, data, answer=answer: answer)
        assert await a.call("a", "point", type=Point) == Point(1)
        assert await b.call("a", "point", type=dict[str, int]) == {"x": 1}
        for caller in (a, b):  # of another node, and of itself
            with pytest.raises(InvalidPayload) as refused:
                await caller.call("b", "point", type=Point)
            assert refused.value.sender == "b"
            assert "Expected `int`, got `str` - at `$.x`" in refused.value.message
        replies = await a.gather("point", type=Point)
        assert dict(replies) == {"a": Point(1)}
        assert [(name, type(error), error.sender) for name, error in replies.errors.items()] == [
            ("b", InvalidPayload, "b")
        ]
        assert replies.complete
        streamed = {reply.sender: reply async for reply in a.stream("point", type=Point)}
        assert streamed["a"].data == Point(1)
        assert isinstance(streamed["b"].error, InvalidPayload)
        assert await a.call("b", "point", type=dict[str, int | str] | None) == {"x": "1"}
        assert await a.call("b", "point") == {"x": "1"}


async def test_a_type_that_cannot_be_is_told_before_anything_is_sent(bus: Bus) -> None:
    server = make_server("s", bus)
    heard: list[str] = []
    async with running(server), client(server, "1") as peer:
        server.cluster.on("x", lambda: heard.append("x"))
        (socket,) = server.sockets
        for kind in (Socket, 5, list[Socket]):
            odd: Any = kind
            with pytest.raises(ConfigError):
                await socket.call("x", type=odd)
            with pytest.raises(ConfigError):
                await server.everyone.gather("x", type=odd)
            with pytest.raises(ConfigError):
                await server.cluster.call("s", "x", type=odd)
            with pytest.raises(ConfigError):
                await server.cluster.gather("x", type=odd)
            with pytest.raises(ConfigError):
                server.cluster.stream("x", type=odd)
        socket.send("end")
        assert await peer.receive() is not None
        assert heard == []


@pytest.mark.parametrize("headers", [None, MSGPACK], ids=["json", "msgpack"])
async def test_answers_of_clients_on_any_node_are_converted(bus: Bus, headers: dict[str, str] | None) -> None:
    here, there, worker = make_server("here", bus), make_server("there", bus), Node("worker", bus=bus)
    async with (
        running(here, there, worker),
        client(here, "1", headers) as one,
        client(there, "2", headers) as two,
        client(there, "3", headers) as three,
    ):
        for node in (here, there, worker):
            asking = asyncio.create_task(node.users(["1", "2", "3"]).gather("ask", type=Answer))
            one.answer(await one.receive("ask"), ANSWER)
            two.answer(await two.receive("ask"), ANSWER)
            three.answer(await three.receive("ask"), {"when": "soon"})
            replies = await asking
            assert dict(replies) == {"1": Answer(NOON, {1: 2}), "2": Answer(NOON, {1: 2})}
            assert [(user, type(error), error.sender) for user, error in replies.errors.items()] == [
                ("3", InvalidPayload, "3")
            ]
            assert replies.missing == ()


async def test_the_answer_of_one_client_is_converted() -> None:
    server = make_server("here", MemoryBus())
    async with running(server), client(server, "1") as peer:
        (socket,) = server.sockets
        calling = asyncio.create_task(socket.call("ask", type=Named))
        peer.answer(await peer.receive("ask"), {"name": "tea"})
        assert await calling == {"name": "tea"}
        refused = asyncio.create_task(socket.call("ask", type=Named))
        peer.answer(await peer.receive("ask"), {"title": "tea"})
        with pytest.raises(InvalidPayload, match="missing required field `name`") as error:
            await refused
        assert error.value.sender == "1"
        untyped = asyncio.create_task(socket.call("ask"))
        peer.answer(await peer.receive("ask"), [1])
        assert await untyped == [1]
