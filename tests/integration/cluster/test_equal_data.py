"""Every client of a format gets equal data of a message, whoever sent it and whenever the client connected."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec
import pytest

from crosswire import MemoryBus, Node, Server, Socket
from crosswire.cluster.interface import Bus
from crosswire.testing import EventClient
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.original import compat_bus
from tests.integration.cluster.support import client, connection_of, make_server, received, running, running_nodes
from tests.support.aio import wait_until

MSGPACK = {"Sec-WebSocket-Protocol": "crosswire.msgpack"}


class Level(Enum):
    LOW = 1


class Shape(msgspec.Struct, tag="shape", omit_defaults=True):
    size: int = 0
    blob: bytes = b""


@dataclass
class Point:
    x: float
    when: datetime | None = None


class Settings(dict[str, int]):
    pass


AWKWARD: dict[str, Any] = {
    "bytes": [b"\xff\x00", bytearray(b"a"), memoryview(b"b")],
    "keys": {1: {2.5: {date(2024, 1, 2): {Level.LOW: 1}}}},
    "times": [
        datetime(2024, 1, 2, 3, 4, 5, 600, timezone(timedelta(hours=2))),
        datetime(2024, 1, 2, tzinfo=UTC),
        datetime(2024, 1, 2),
        date(2024, 1, 2),
        time(3, 4),
        timedelta(days=1, seconds=1.5),
    ],
    "numbers": [math.nan, math.inf, -math.inf, -0.0, 1.0, 1e300, 2**53 + 1, 2**64 - 1, -(2**63), Decimal("1.10")],
    "objects": [Shape(), Shape(1, b"x"), Point(math.nan, datetime(2024, 1, 2, tzinfo=UTC)), Settings(a=1)],
    "others": [UUID(int=5), Level.LOW, {3}, frozenset([4]), (5, (6,)), None, True, "é \x00 🎉"],
}
LARGE = {"large": [2**64, -(2**70), {2**70: 1}]}
VALUE = msgspec.json.decode(msgspec.json.encode(AWKWARD))
LARGE_VALUE = {"large": [2**64, -(2**70), {str(2**70): 1}]}
LARGE_AS_FLOATS = {"large": [2.0**64, -(2.0**70), {str(2**70): 1}]}

Say = Callable[[Any], Awaitable[Any] | None]


@pytest.fixture(params=["memory", "redis", "compat-json", "compat-msgpack"])
def any_bus(request: pytest.FixtureRequest) -> Bus:
    """A bus of each kind, alone or with original servers."""
    if request.param == "memory":
        return MemoryBus()
    if request.param == "redis":
        redis: Bus = request.getfixturevalue("redis_bus")
        return redis
    process: RedisProcess = request.getfixturevalue("redis_process")
    return compat_bus(process, request.param.removeprefix("compat-"))


async def gets(peer: EventClient, say: Say, data: Any) -> Any:
    """Return the data that a client gets when something is sent; calls are answered."""
    said = say(data)
    asking = asyncio.ensure_future(said) if said is not None else None
    call = await peer.receive("x")
    if asking is not None:
        peer.answer(call)
        await asking
    return call.data


def senders(server: Server, node: Server | Node) -> dict[str, Say]:
    """All that reaches the user "1" of a server, from there and from elsewhere."""
    return {
        "user": lambda data: node.user("1").send("x", data),
        "users": lambda data: node.users(["1", "nobody"]).send("x", data),
        "everyone": lambda data: node.everyone.send("x", data),
        "room": lambda data: node.room("chat", "r").send("x", data),
        "room, excluding": lambda data: node.room("chat", "r").send("x", data, exclude=["2"]),
        "gather": lambda data: node.user("1").gather("x", data),
        "gather everyone": lambda data: node.everyone.gather("x", data),
    }


def of_socket(server: Server) -> dict[str, Say]:
    def socket() -> Socket:
        (found,) = server.sockets
        return found

    return {"socket.send": lambda data: socket().send("x", data), "socket.call": lambda data: socket().call("x", data)}


@pytest.mark.parametrize("headers", [None, MSGPACK], ids=["json", "msgpack"])
async def test_data_is_the_same_whoever_sends_it(any_bus: Bus, headers: dict[str, str] | None) -> None:
    here, there, worker = make_server("here", any_bus), make_server("there", any_bus), Node("worker", bus=any_bus)
    large = LARGE_AS_FLOATS if headers else LARGE_VALUE
    here.on("echo", lambda: {**AWKWARD, **LARGE})
    async with running(here, there, worker), client(here, "1", headers) as peer:
        await peer.call("join", ["chat", "r"])
        ways = {f"socket: {name}": say for name, say in of_socket(here).items()}
        for node in (here, there, worker):
            ways |= {f"{node!r}: {name}": say for name, say in senders(here, node).items()}
        for name, say in ways.items():
            got = await gets(peer, say, {**AWKWARD, **LARGE})
            assert repr(got) == repr({**VALUE, **large}), name
        assert repr(await peer.call("echo")) == repr({**VALUE, **large})


@pytest.mark.parametrize("name", ["user", "users", "everyone", "room", "gather"])
async def test_data_is_the_same_for_new_and_old_clients(any_bus: Bus, name: str) -> None:
    here, there = make_server("here", any_bus), make_server("there", any_bus)
    expected = repr({**VALUE, **LARGE_AS_FLOATS})
    async with running(here, there):
        # Each time it is the first of its kind that comes, and the other server has not heard of it at first.
        for _ in range(3):
            async with client(here, "1", MSGPACK) as peer:
                await peer.call("join", ["chat", "r"])
                say = senders(here, there)[name]
                assert repr(await gets(peer, say, {**AWKWARD, **LARGE})) == expected
            await wait_until(lambda: not there.cluster.nodes["here"].connections)
        async with client(here, "1", MSGPACK) as peer:
            await peer.call("join", ["chat", "r"])
            members = connection_of(there).members
            await wait_until(lambda: members.want_msgpack)
            say = senders(here, there)[name]
            assert repr(await gets(peer, say, {**AWKWARD, **LARGE})) == expected


async def test_half_a_character_from_an_original_server_harms_nobody(redis_process: RedisProcess) -> None:
    server = make_server("b", compat_bus(redis_process, "json"))
    async with running(server), client(server, "1") as text, client(server, "2", MSGPACK) as binary:
        inner = '{"event":"x","payload":{"n":1e400,"t":"%s"}}'
        body = msgspec.json.encode({"data": inner % "\\ud83d", "senderServer": "original"})
        redis_process.command("PUBLISH", "ws:broadcast", body)
        frame = await text.peer.receive()
        assert frame == inner % "\\ud83d"  # JSON.parse takes it
        assert (await binary.receive()).data == {"n": None, "t": "\ufffd"}  # infinity, as JSON.parse reads it


async def test_one_clients_answer_does_not_spoil_anothers(bus: Bus) -> None:
    here, there = make_server("here", bus), make_server("there", bus)
    deep: list[Any] = []
    for _ in range(900):
        deep = [deep]
    async with running(here, there), client(here, "1") as one, client(here, "2") as two, client(here, "3") as three:
        for server in (here, there):
            asking = asyncio.create_task(server.users(["1", "2", "3"]).gather("x"))
            one.answer(await one.receive("x"), 2**70)
            two.answer(await two.receive("x"), deep)
            three.answer(await three.receive("x"), "fine")
            replies = await asking
            assert (replies["1"], replies["3"]) == (2**70, "fine")
            assert "2" in replies or "2" in replies.errors
            assert replies.missing == ()


async def test_data_of_clients_does_not_depend_on_their_format() -> None:
    server, heard = make_server("a", MemoryBus()), list[Any]()
    server.on("any", lambda socket, data: heard.append(data))

    @server.on("typed")
    def typed(socket: Socket, data: Shape) -> None:
        heard.append(data)

    said = {**AWKWARD, "bytes": None, "objects": [Point(math.nan), Settings(a=1)]}
    async with running(server):
        for headers in (None, MSGPACK):
            async with client(server, "1", headers) as peer:
                await peer.call("any", said)
                await peer.call("typed", Shape(1, b"\xff"))
                with pytest.raises(Exception, match="INVALID_PAYLOAD"):
                    await peer.call("typed", {"type": "shape", "size": math.nan})
    assert repr(heard[0]) == repr(heard[2]) == repr(msgspec.json.decode(msgspec.json.encode(said)))
    assert heard[1] == heard[3] == Shape(1, b"\xff")


# Between nodes: what a node says to itself is what it says to others.


async def test_a_node_gets_its_own_data_as_others_get_it(bus: Bus) -> None:
    async with running_nodes(bus, "a", "b") as (a, b):
        heard: dict[str, list[Any]] = {"a": [], "b": []}
        for node in (a, b):
            node.on("x", lambda _sender, data, node=node: heard[node.name].append(data))
            node.on("echo", lambda _sender, data: data)
            await node.subscribe("news", lambda _sender, data, node=node: heard[node.name].append(data))
        data = {**AWKWARD, "objects": [Shape(1, b"x"), Point(1.5)]}
        a.send("x", data)
        a.publish("news", data)
        data["changed"] = data["bytes"][1] = "by who sent it"
        await wait_until(lambda: [len(each) for each in heard.values()] == [2, 2])
        assert len({repr(each) for values in heard.values() for each in values}) == 1
        assert "changed" not in heard["a"][0]
        answers = [await a.call(name, "echo", AWKWARD) for name in ("a", "b")]
        answers += (await a.gather("echo", AWKWARD)).values()
        assert len({repr(each) for each in answers}) == 1


async def test_mutable_data_is_sent_as_it_was_at_the_time(bus: Bus) -> None:
    async with running(server := make_server("a", bus)), client(server, "1") as peer:
        data = {"list": [1]}
        server.everyone.send("x", data)
        server.user("1").send("x", data)
        asking = asyncio.create_task(server.user("1").gather("y", data))
        server.everyone.send("end")
        data["list"].append(2)
        assert await received(peer) == [("x", {"list": [1]})] * 2
        call = await peer.receive("y")
        peer.answer(call)
        await asking
