"""Lists of users and rooms, with the nodes that they are on."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from crosswire import Locations, Node, NotConnected, RoomInfo, RoomList, UsageError
from crosswire.cluster.interface import Bus
from tests.integration.cluster.scripted_node import scripted_node
from tests.integration.cluster.support import client, clients, make_server, running, running_servers
from tests.support.aio import wait_until


async def test_users_are_listed_with_their_nodes(bus: Bus) -> None:
    worker = Node("worker", bus=bus)
    async with running_servers(bus, "a", "b") as (a, b), running(worker), clients({"1": a, "2": b, "3": a}):
        await wait_until(lambda: len(worker.nodes) == 3)
        everyone = Locations({"1": {"a": 1}, "2": {"b": 1}, "3": {"a": 1}}, 3)
        for node in (a, b, worker):
            assert await node.everyone.locate() == everyone
            assert await node.user("2").locate() == Locations({"2": {"b": 1}}, 1)
            assert await node.user("nobody").locate() == Locations()
            assert await node.users(["3", "9", "2", "3"]).locate() == Locations({"2": {"b": 1}, "3": {"a": 1}}, 2)


async def test_members_of_a_room_are_listed_with_their_nodes(bus: Bus) -> None:
    async with running_servers(bus, "a", "b") as (a, b), clients({"1": a, "2": b, "3": b}) as peers:
        for user in ("1", "2"):
            await peers[user].call("join", ["chat", "x"])
        assert await b.room("chat", "x").locate() == Locations({"1": {"a": 1}, "2": {"b": 1}}, 2)
        assert await b.room("chat", "empty").locate() == Locations()


async def test_a_user_with_several_connections_is_one_user(bus: Bus) -> None:
    async with running_servers(bus, "a", "b", duplicates="allow") as (a, b), AsyncExitStack() as stack:
        for server, user in ((a, "1"), (a, "1"), (b, "1"), (b, "2"), (a, "3")):
            await stack.enter_async_context(client(server, user))
        everyone = {"1": {"a": 2, "b": 1}, "2": {"b": 1}, "3": {"a": 1}}
        assert await a.everyone.locate() == Locations(everyone, 3)
        assert await a.everyone.locate(limit=1) == Locations({"1": {"a": 2, "b": 1}}, 3, exact=False)
        assert await b.everyone.locate(limit=2) == Locations({user: everyone[user] for user in "12"}, 3)


async def test_a_list_has_the_first_users_and_the_number_of_all(bus: Bus) -> None:
    users = [f"{number:02}" for number in range(20)]
    async with running_servers(bus, "a", "b") as (a, b):
        places = {user: (b if int(user) % 3 else a) for user in users} | {"guest": a}
        async with clients(places):
            for limit in (1, 2, 7, 20):
                found = await a.everyone.locate(limit=limit)
                assert list(found.users) == users[:limit]
                assert (found.total, found.exact, found.missing) == (21, True, ())
            assert await b.everyone.locate(prefix="gu") == Locations({"guest": {"a": 1}}, 1)
            assert (await b.everyone.locate(prefix="1", limit=3)).total == 10


async def test_rooms_are_listed_with_their_nodes(bus: Bus) -> None:
    worker = Node("worker", bus=bus)
    async with running_servers(bus, "a", "b") as (a, b), running(worker), clients({"1": a, "2": b, "3": b}) as peers:
        await wait_until(lambda: len(worker.nodes) == 3)
        joined = [("1", "x"), ("2", "x"), ("3", "x"), ("3", "y"), ("1", "x2")]
        for user, room in joined:
            await peers[user].call("join", ["chat", room])
        await peers["2"].call("join", ["board", "x"])
        x, x2 = RoomInfo("chat", "x", {"a": 1, "b": 2}), RoomInfo("chat", "x2", {"a": 1})
        y, board = RoomInfo("chat", "y", {"b": 1}), RoomInfo("board", "x", {"b": 1})
        assert x.members == 3
        for node in (a.cluster, b.cluster, worker):
            assert await node.list_rooms() == RoomList((board, x, x2, y), 4)
            assert await node.list_rooms("chat") == RoomList((x, x2, y), 3)
            assert await node.list_rooms("chat", prefix="x") == RoomList((x, x2), 2)
            assert await node.list_rooms(prefix="y") == RoomList((y,), 1)
            assert await node.list_rooms("none") == RoomList()
        cut = await worker.list_rooms(limit=1)
        assert cut == RoomList((board,), 3, exact=False)  # there are four; one server has three of them
        await peers["3"].call("leave", ["chat", "y"])
        assert await a.cluster.list_rooms("chat") == RoomList((x, x2), 2)


async def test_who_does_not_answer_is_missing(bus: Bus) -> None:
    server = make_server("a", bus)
    async with scripted_node(bus, serves=True) as scripted, running(server), client(server, "1"):
        scripted.native.announce(scripted.beat_of())
        await wait_until(lambda: "scripted" in server.cluster.nodes)
        asking = asyncio.gather(server.everyone.locate(), server.cluster.list_rooms())
        await wait_until(lambda: len(scripted.requests) == 2)
        scripted.say_goodbye()
        users, rooms = await asking
        assert users == Locations({"1": {"a": 1}}, 1, missing=("scripted",))
        assert rooms == RoomList(missing=("scripted",))


async def test_a_server_alone_lists_its_own() -> None:
    server = make_server("a", None)
    await server.start(listen=False)
    try:
        async with client(server, "1") as peer:
            await peer.call("join", ["chat", "x"])
            assert await server.everyone.locate() == Locations({"1": {"a": 1}}, 1)
            assert await server.cluster.list_rooms() == RoomList((RoomInfo("chat", "x", {"a": 1}),), 1)
    finally:
        await server.stop()


@pytest.mark.parametrize("limit", [0, -1, 10_001, True, 1.5, "3", None])
async def test_a_limit_that_is_none_is_refused(limit: Any) -> None:
    async with Node("a") as node:
        with pytest.raises(UsageError, match="limit is a whole number from 1 to 10000"):
            await node.everyone.locate(limit=limit)
        with pytest.raises(UsageError, match="limit is a whole number"):
            await node.list_rooms(limit=limit)


async def test_misuse_raises() -> None:
    node = Node("a")
    with pytest.raises(NotConnected):
        await node.list_rooms()
    async with node:
        wrong: Any
        for wrong in (1, None, "\ud800"):
            with pytest.raises(UsageError):
                await node.list_rooms(prefix=wrong)
            with pytest.raises(UsageError):
                await node.everyone.locate(prefix=wrong)
        for wrong in (1, "", "\ud800"):
            with pytest.raises(UsageError):
                await node.list_rooms(wrong)
