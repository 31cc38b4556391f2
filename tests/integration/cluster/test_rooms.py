from __future__ import annotations

import asyncio

import pytest

from crosswire import Close, EventError, Limits, Node, Roster
from crosswire.cluster.dispatcher import ClusterDispatcher
from crosswire.cluster.interface import Bus
from crosswire.testing import EventClient
from tests.integration.cluster.scripted_node import scripted_node
from tests.integration.cluster.support import DETECTION_TIMEOUT, client, clients, received, running, running_servers
from tests.support.aio import wait_until
from tests.support.defaults import set_default


async def answer_calls(peers: dict[str, EventClient]) -> None:
    """Answer the next call of each, with its data and the user."""

    async def answer(user: str, peer: EventClient) -> None:
        call = await peer.receive("ask")
        peer.answer(call, [call.data, user])

    await asyncio.gather(*(answer(user, peer) for user, peer in peers.items()))


async def test_add_and_remove_reach_a_user_wherever_connected(bus: Bus) -> None:
    worker = Node("worker", bus=bus)
    async with running_servers(bus, "a", "b") as (a, b), running(worker), client(b, "1") as peer:
        for node in (a, b, worker):
            room = node.room("chat", "r")
            assert dict(await room.add("1")) == {"a": 0, "b": 1}
            a.room("chat", "r").send("x")  # it is in effect when it returns
            assert (await peer.receive()).event == "x"
            assert dict(await room.add("1")) == {"a": 0, "b": 0}
            assert dict(await room.remove("1")) == {"a": 0, "b": 1}
            a.room("chat", "r").send("x")
            a.everyone.send("end")
            assert await received(peer) == []
            assert (await room.add("99")).complete


async def test_a_node_that_refuses_an_add_is_named(bus: Bus) -> None:
    async with running_servers(bus, "a", "b", limits=Limits(rooms=1)) as (a, b), client(b, "1") as peer:
        await peer.call("join", ["chat", "first"])
        replies = await a.room("chat", "second").add("1")
        assert dict(replies) == {"a": 0}
        assert (replies.errors["b"].code, replies.errors["b"].sender) == ("ROOM_LIMIT", "b")


async def test_members_and_counts_of_all_nodes(bus: Bus) -> None:
    worker = Node("worker", bus=bus)
    async with (
        running_servers(bus, "a", "b", "c") as (a, b, c),
        running(worker),
        clients({"1": a, "2": a, "3": b, "4": c}) as peers,
    ):
        for user in "134":
            await peers[user].call("join", ["chat", "r"])
        for node in (a, b, c, worker):
            assert await node.room("chat", "r").members() == Roster(frozenset("134"))
            assert await node.room("chat", "none").members() == Roster()
            tally = await node.everyone.count()
            assert (tally.total, tally.missing) == (4, ())
            assert await node.room("chat", "r").count() == 3
            assert await node.user("3").count() == 1
            assert await node.users(["1", "3", "3", "99"]).count() == 2
        assert a.local_rooms.members("chat", "r") == {"1"}  # what this server alone knows, at once


async def test_a_user_on_several_nodes_is_counted_listed_and_asked_once(bus: Bus) -> None:
    async with (
        running_servers(bus, "a", "b", duplicates="allow") as (a, b),
        client(a, "1") as one,
        client(b, "1") as again,
    ):
        for peer in (one, again):
            await peer.call("join", ["chat", "r"])
        assert await a.everyone.count() == 1
        assert await a.room("chat", "r").count() == 1
        assert await a.room("chat", "r").members() == Roster(frozenset("1"))
        a.user("1").send("x")
        assert [(await peer.receive()).event for peer in (one, again)] == ["x", "x"]
        asking = asyncio.create_task(a.user("1").gather("ask", timeout=5))
        await answer_calls({"one": one, "again": again})
        replies = await asking
        assert (len(replies), replies.missing) == (1, ())
        assert dict(await b.room("chat", "r").remove("1")) == {"a": 1, "b": 1}


async def test_close_reaches_all_nodes(bus: Bus) -> None:
    worker = Node("worker", bus=bus)
    async with (
        running_servers(bus, "a", "b") as (a, b),
        running(worker),
        clients({"1": a, "2": b, "3": b, "4": b}) as peers,
    ):
        await peers["3"].call("join", ["chat", "r"])
        assert dict(await a.user("2").close(4010, "forced logout")) == {"a": 0, "b": 1}
        assert len(b.sockets) == 2  # in effect when it returns
        assert await peers["2"].closed() == Close(4010, "forced logout")
        assert dict(await worker.room("chat", "r").close(4000)) == {"a": 0, "b": 1}
        assert dict(await a.everyone.close()) == {"a": 1, "b": 1}
        assert [(await peers[user].closed()).code for user in "134"] == [1000, 4000, 1000]


async def test_clear_empties_a_room_on_all_nodes(bus: Bus) -> None:
    async with running_servers(bus, "a", "b") as (a, b), clients({"1": a, "2": b, "3": b}) as peers:
        for peer in peers.values():
            await peer.call("join", ["chat", "r"])
        assert dict(await a.room("chat", "r").clear()) == {"a": 1, "b": 2}
        assert await b.room("chat", "r").members() == Roster()
        b.room("chat", "r").send("x")
        b.everyone.send("end")
        assert [await received(peer) for peer in peers.values()] == [[], [], []]


async def test_gather_asks_the_clients_of_all_nodes(bus: Bus) -> None:
    worker = Node("worker", bus=bus)
    async with (
        running_servers(bus, "a", "b") as (a, b),
        running(worker),
        clients({"1": a, "2": b, "3": b}) as peers,
    ):
        for user in "13":
            await peers[user].call("join", ["chat", "r"])
        for node in (a, worker):
            asking = asyncio.create_task(node.room("chat", "r").gather("ask", {"n": [1, None]}))
            await answer_calls({user: peers[user] for user in "13"})
            assert dict(await asking) == {user: [{"n": [1, None]}, user] for user in "13"}
            asking = asyncio.create_task(node.everyone.gather("ask"))
            await answer_calls(peers)
            assert dict(await asking) == {user: [None, user] for user in "123"}
        assert await a.user("99").gather("ask") == {}


async def test_gather_names_users_on_other_nodes_that_refused_or_were_silent(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_default(monkeypatch, ClusterDispatcher, "gather_margin", 30)
    async with running_servers(bus, "a", "b") as (a, b), clients({"1": a, "2": b, "3": b}) as peers:
        asking = asyncio.create_task(a.everyone.gather("ask", timeout=1))
        call = await peers["2"].receive("ask")
        peers["2"].refuse(call, EventError("busy"))
        call = await peers["1"].receive("ask")
        peers["1"].answer(call)
        replies = await asking
        assert (dict(replies), replies.missing, replies.complete) == ({"1": None}, ("3",), False)
        assert (replies.errors["2"].code, replies.errors["2"].sender) == ("busy", "2")


async def test_a_user_who_leaves_while_asked_is_missing_at_once(bus: Bus) -> None:
    async with running_servers(bus, "a", "b") as (a, b), client(b, "1") as peer:
        asking = asyncio.create_task(a.user("1").gather("ask", timeout=60))
        await peer.receive("ask")
        await peer.close()
        assert (await asking).missing == ("1",)


async def test_nodes_that_do_not_answer_are_named(bus: Bus) -> None:
    async with running_servers(bus, "a") as (a,), scripted_node(bus, serves=True) as scripted, client(a, "1"):
        await wait_until(lambda: "scripted" in a.cluster.nodes)
        room = a.room("chat", "r")
        began = asyncio.get_running_loop().time()
        changes = asyncio.gather(room.add("2"), room.remove("2"), room.clear(), a.user("2").close())
        gathering = asyncio.create_task(a.user("2").gather("ask", timeout=60))
        tally, roster = await asyncio.gather(a.everyone.count(), room.members())
        for replies in await changes:
            assert (dict(replies), replies.missing, replies.complete) == ({"a": 0}, ("scripted",), False)
        assert (tally, tally.missing) == (1, ("scripted",))
        assert roster == Roster(frozenset(), ("scripted",))
        assert (await gathering).missing == ("2", "scripted")
        assert asyncio.get_running_loop().time() - began < DETECTION_TIMEOUT  # not at the timeout
        assert {request.event for request in scripted.requests} >= {"$add", "$members", "$gather"}


async def test_a_server_that_has_left_is_not_waited_for(bus: Bus) -> None:
    async with running_servers(bus, "a") as (a,):
        async with running_servers(bus, "b"):
            await wait_until(lambda: "b" in a.cluster.nodes)
        await wait_until(lambda: "b" not in a.cluster.nodes)
        tally = await a.everyone.count()
        assert (tally, tally.missing) == (0, ())
