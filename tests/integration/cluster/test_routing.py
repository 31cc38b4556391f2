from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from crosswire import Node, Redis, Server
from crosswire.cluster.interface import Bus
from crosswire.core import envelopes
from crosswire.core.envelopes import ClientBatch, TextBatch
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.scripted_node import scripted_node
from tests.integration.cluster.support import (
    client,
    clients,
    received,
    room_channels,
    running,
    running_servers,
    user_channels,
)
from tests.support.aio import wait_until
from tests.support.record_channels import record_channels

Listened = Callable[[], dict[str, int]]

# Users 1 and 2 are on server a, 3 on b, 4 on c; 1 and 3 are in the room. Sent from a.
SENDS: list[tuple[Callable[[Server | Node], object], str]] = [
    (lambda node: node.everyone.send("x"), "1234"),
    (lambda node: node.everyone.send("x", exclude=["3", "99"]), "124"),
    (lambda node: node.user("1").send("x"), "1"),
    (lambda node: node.user("4").send("x"), "4"),
    (lambda node: node.user("4").send("x", exclude=["4"]), ""),
    (lambda node: node.user("99").send("x"), ""),
    (lambda node: node.users(["1", "3", "4", "99", "3"]).send("x"), "134"),
    (lambda node: node.users(["1", "3", "4"]).send("x", exclude=["3"]), "14"),
    (lambda node: node.room("chat", "r").send("x"), "13"),
    (lambda node: node.room("chat", "r").send("x", exclude=["1"]), "3"),
    (lambda node: node.room("chat", "other").send("x"), ""),
]
LOCAL_SENDS: list[tuple[Callable[[Server | Node], object], str]] = [
    (lambda node: node.everyone.send("x", local=True), "12"),
    (lambda node: node.users(["1", "3"]).send("x", local=True), "1"),
    (lambda node: node.room("chat", "r").send("x", local=True), "1"),
]


async def test_recipients_of_a_send_from_each_node(bus: Bus) -> None:
    worker = Node("worker", bus=bus)
    async with (
        running_servers(bus, "a", "b", "c") as (a, b, c),
        running(worker),
        clients({"1": a, "2": a, "3": b, "4": c}) as peers,
    ):
        await peers["1"].call("join", ["chat", "r"])
        await peers["3"].call("join", ["chat", "r"])
        rounds = [(sender, *each) for sender in (a, b, c, worker) for each in SENDS]
        rounds += [(a, *each) for each in LOCAL_SENDS]
        for number, (sender, send, expected) in enumerate(rounds):
            assert send(sender) is None  # a plain function
            sender.everyone.send("end")
            reached = [user for user, peer in peers.items() if await received(peer) == [("x", None)]]
            assert "".join(reached) == expected, number


async def test_messages_of_one_turn_arrive_in_the_order_in_which_they_were_sent(bus: Bus) -> None:
    msgpack = {"Sec-WebSocket-Protocol": "crosswire.msgpack"}
    heard: list[int] = []
    async with (
        running_servers(bus, "a", "b") as (a, b),
        client(b, "1") as peer,
        client(b, "2", msgpack) as other,
    ):
        b.cluster.on("numbered", lambda _sender, number: heard.append(number))
        await peer.call("join", ["chat", "r"])
        await other.call("join", ["chat", "r"])
        for number in range(300):
            kind = number * number % 7
            if kind < 3:
                a.user("1").send("x", number)
            elif kind == 4:
                a.room("chat", "r").send("x", number)
            else:
                a.users(["1", "2"]).send("x", number, exclude=["2"] if number % 2 else [])
            a.cluster.send("numbered", number, to="b")
        a.everyone.send("end")
        messages = [await received(each) for each in (peer, other)]
    assert messages[0] == [("x", number) for number in range(300)]
    both = [number for number in range(300) if number * number % 7 == 4 or (number * number % 7 > 2 and not number % 2)]
    assert messages[1] == [("x", number) for number in both]
    await wait_until(lambda: heard == list(range(300)))


@pytest.mark.parametrize("sender", ["a", "b", "worker"])
async def test_a_single_connection_is_left_out_on_every_node(bus: Bus, sender: str) -> None:
    worker = Node("worker", bus=bus)
    async with (
        running_servers(bus, "a", "b", duplicates="allow") as (a, b),
        running(worker),
        client(a, "1") as here,
        client(a, "1") as beside,
        client(b, "1") as there,
        client(b, "2") as other,
    ):
        peers = {"here": here, "beside": beside, "there": there, "other": other}
        for peer in peers.values():
            await peer.call("join", ["chat", "r"])
        left_out = next(socket for socket in a.sockets)
        name = "here" if left_out.id == (await here.call("me")) else "beside"
        nodes: dict[str, Server | Node] = {"a": a, "b": b, "worker": worker}
        node = nodes[sender]
        for audience in (node.everyone, node.room("chat", "r"), node.users(["1", "2"])):
            audience.send("x", exclude=[left_out])
            node.everyone.send("end")
            reached = {each for each, peer in peers.items() if await received(peer) == [("x", None)]}
            assert reached == peers.keys() - {name}
        node.room("chat", "r").send("x", exclude=[left_out, "2"])
        node.user("1").send("x", exclude=[left_out])
        node.everyone.send("end")
        counts = {each: len(await received(peer)) for each, peer in peers.items()}
        assert counts == {"here": 2, "beside": 2, "there": 2, "other": 0} | {name: 0}


async def test_data_arrives_as_it_was_sent(bus: Bus) -> None:
    data = {"k é 漢": "v 🎉", "nested": [1, {"b": None}], "big": 2**53, "huge": 2**64, "small": -1.5e-7, "no": False}
    async with running_servers(bus, "a", "b") as (a, b), client(b, "1") as peer:
        a.user("1").send("x", data)
        assert (await peer.receive("x")).data == data


async def test_messages_are_joined_in_a_way_that_every_member_reads(bus: Bus) -> None:
    bodies: list[bytes] = []
    async with running_servers(bus, "a") as (a,), scripted_node(bus) as old:
        for target, channel in ((a.user("9"), old.channels.user("9")), (a.everyone, old.channels.everyone)):
            old.port.subscribe(channel, bodies.append)
            await old.port.wait_listening(channel)
            for reads_texts, kind in ((True, TextBatch), (False, ClientBatch)):
                bodies.clear()
                old.native.announce(old.beat_of(batches=True, texts=reads_texts, asks=True))
                await wait_until(lambda: a.cluster.nodes.keys() == {"a", "scripted"})
                await wait_until(lambda: joins_texts(a) == reads_texts)  # noqa: B023 - it is called here
                for number in range(3):
                    target.send("x", number)
                await wait_until(lambda: len(bodies) == 1)
                assert type(envelopes.decode(bodies[0])) is kind


def joins_texts(server: Server) -> bool:
    """Return whether a server sends its messages as batches of texts."""
    return server.cluster._lifecycle.connection().port.joins_texts


async def test_messages_of_one_node_keep_their_order(bus: Bus) -> None:
    async with running_servers(bus, "a", "b") as (a, b), client(b, "1") as peer:
        await peer.call("join", ["chat", "r"])
        for number in range(300):
            a.room("chat", "r").send("x", number)
        assert [(await peer.receive("x")).data for _ in range(300)] == list(range(300))


async def test_local_clients_get_messages_while_redis_hangs(redis_process: RedisProcess) -> None:
    unnoticed = Redis(redis_process.url, prefix="hangs:", ping_timeout=60)
    async with running_servers(unnoticed, "a") as (a,), client(a, "1") as peer:
        await peer.call("join", ["chat", "r"])
        redis_process.pause()
        try:
            a.everyone.send("x", 1)
            a.user("1").send("x", 2)
            a.users(["1", "2"]).send("x", 3)
            a.room("chat", "r").send("x", 4)
            assert [(await peer.receive("x")).data for _ in range(4)] == [1, 2, 3, 4]
        finally:
            redis_process.resume()


async def test_a_message_for_a_local_user_does_not_touch_redis(redis_bus: Redis, redis_process: RedisProcess) -> None:
    async with (
        running_servers(redis_bus, "a", "b") as (a, b),
        client(a, "1") as one,
        client(b, "2") as two,
        record_channels(redis_process.port, f"{redis_bus.prefix}u:*") as heard,
    ):
        a.user("1").send("x", "mine")
        a.users(["1", "2"]).send("x", "theirs")
        assert (await one.receive("x")).data == "mine"
        assert (await one.receive("x")).data == "theirs"
        assert (await two.receive("x")).data == "theirs"
        await wait_until(lambda: heard)
        assert [(channel, b"theirs" in body) for channel, body in heard] == [(f"{redis_bus.prefix}u:2", True)]


async def test_channels_are_listened_on_while_somebody_is_there(bus: Bus, listened: Listened) -> None:
    async with running_servers(bus, "a", "b") as (a, b):
        own = {f"i:{part.cluster.incarnation}" for part in (a, b)} | {"n:a", "n:b", "a", "e"}
        assert listened().keys() == own
        async with client(a, "1") as one, client(b, "2") as two:
            await one.call("join", ["chat", "r"])
            assert listened() == dict.fromkeys([*own, "u:1", "u:2", "r:4:chatr"], 1) | {"a": 2, "e": 2}
            await two.call("join", ["chat", "r"])
            assert listened()["r:4:chatr"] == 2
            await one.call("leave", ["chat", "r"])
            await wait_until(lambda: listened()["r:4:chatr"] == 1)
        await wait_until(lambda: listened().keys() == own)


async def test_a_node_without_clients_gets_no_messages_for_clients(bus: Bus, listened: Listened) -> None:
    async with running(node := Node("worker", bus=bus)):
        assert listened().keys() == {"a", "n:worker", f"i:{node.incarnation}"}


async def test_a_join_returns_when_messages_from_anywhere_come(bus: Bus) -> None:
    async with running_servers(bus, "a", "b") as (a, b), client(a, "1") as peer:
        socket = a.socket_of("1")
        assert socket is not None
        for number in range(100):
            await socket.join("chat", str(number))
            b.room("chat", str(number)).send("x", number)
            await socket.leave("other", "never joined")
        assert [(await peer.receive("x")).data for _ in range(100)] == list(range(100))


async def test_joining_again_during_a_leave_keeps_the_subscription(bus: Bus) -> None:
    async with running_servers(bus, "a", "b") as (a, b), client(a, "1") as peer:
        socket = a.socket_of("1")
        assert socket is not None
        for number in range(100):
            await socket.join("chat", "r")
            leaving = asyncio.create_task(socket.leave("chat", "r"))
            joining = asyncio.create_task(socket.join("chat", "r"))
            await asyncio.gather(leaving, joining)
            b.room("chat", "r").send("x", number)
            assert (await peer.receive("x")).data == number
            await socket.leave("chat", "r")


@pytest.mark.parametrize("seed", range(3))
async def test_after_many_joins_and_leaves_the_channels_are_right(bus: Bus, listened: Listened, seed: int) -> None:
    choose = random.Random(seed)
    async with running_servers(bus, "a", "b") as (a, b):
        places = {"1": a, "2": a, "3": b, "4": b}
        base = listened().keys()
        async with clients(places) as peers:
            sockets: dict[str, Any] = {user: server.socket_of(user) for user, server in places.items()}
            model: set[tuple[str, str, str]] = set()
            works = []
            for _ in range(600):
                user, room = choose.choice("1234"), (choose.choice(["chat", "chat1"]), choose.choice(["", "1"]) + "r")
                joins = choose.random() < 0.5
                change = sockets[user].join if joins else sockets[user].leave
                (model.add if joins else model.discard)((user, *room))
                works.append(asyncio.create_task(change(*room)))
                if choose.random() < 0.1:
                    await asyncio.sleep(choose.choice([0, 0, 0.001]))
            await asyncio.gather(*works)
            rooms = {(namespace, id_) for _, namespace, id_ in model}
            expected = base | user_channels(places) | room_channels(rooms)
            await wait_until(lambda: listened().keys() == expected)
            for namespace, id_ in [("chat", "r"), ("chat", "1r"), ("chat1", "r"), ("chat1", "1r")]:
                places[choose.choice("1234")].room(namespace, id_).send("x")
                a.everyone.send("end")
                b.everyone.send("end")
                for user, peer in peers.items():
                    got = await received(peer) + await received(peer)
                    assert len(got) == ((user, namespace, id_) in model)
        await wait_until(lambda: listened().keys() == base)


async def test_users_that_come_and_go_quickly_leave_the_channels_of_those_who_stayed(
    bus: Bus, listened: Listened
) -> None:
    async with running_servers(bus, "a", "b") as (a, b), AsyncExitStack() as stack:
        base = listened().keys()

        async def visit(server: Server, user: str, stays: bool) -> None:
            for _ in range(5):
                async with client(server, user) as peer:
                    await peer.call("join", ["chat", user])
            if stays:
                peer = await stack.enter_async_context(client(server, user))
                await peer.call("join", ["chat", user])

        await asyncio.gather(*(visit((a, b)[number % 2], str(number), number % 3 == 0) for number in range(30)))
        stayed = {str(number) for number in range(0, 30, 3)}
        expected = base | user_channels(stayed) | room_channels(("chat", user) for user in stayed)
        await wait_until(lambda: listened().keys() == expected)


async def test_another_user_of_a_connection_is_reachable_when_identify_returns(bus: Bus, listened: Listened) -> None:
    async with running_servers(bus, "a", "b") as (a, b), client(a, "1") as peer:
        socket = a.socket_of("1")
        assert socket is not None
        await peer.call("join", ["chat", "r"])
        await socket.identify("2")
        b.user("2").send("x")
        assert (await peer.receive("x")).data is None
        await wait_until(lambda: "u:1" not in listened())
        b.room("chat", "r").send("y")
        await peer.receive("y")


async def test_similar_names_of_rooms_and_users_are_separate(bus: Bus) -> None:
    async with running_servers(bus, "a", "b") as (a, b), client(b, "r:1:ab") as odd, client(b, "e") as plain:
        for peer, room in ((odd, ["a", "b:c"]), (plain, ["a:b", "c"])):
            await peer.call("join", room)
        for send in (a.room("a", "b:c").send, a.user("r:1:ab").send):
            send("odd")
        for send in (a.room("a:b", "c").send, a.user("e").send, a.user("e").send):
            send("plain")
        a.room("a", "b").send("nobody")
        a.everyone.send("end")
        assert await received(odd) == [("odd", None)] * 2
        assert await received(plain) == [("plain", None)] * 3
