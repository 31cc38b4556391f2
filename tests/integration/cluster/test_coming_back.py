"""Clients that come back to rooms with history, on another server or after an outage."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from crosswire import Node, Redis, Server
from crosswire.cluster.interface import Bus
from crosswire.testing import EventClient, connect
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.support import client, make_server, running
from tests.support.aio import wait_until


@asynccontextmanager
async def servers_with_history(bus: Bus, *names: str, **options: Any) -> AsyncIterator[list[Server]]:
    """Servers of a cluster, of which the first one has declared that rooms of "chat" keep history."""
    servers = [make_server(name, bus, **options) for name in names]
    servers[0].history("chat", size=100, ttl=300)
    async with running(*servers):
        yield servers


@asynccontextmanager
async def coming(server: Server, user: str, *positions: str) -> AsyncIterator[EventClient]:
    """A client that keeps its positions, and offers these."""
    async with connect(server, f"/?id={user}&_cw=2&_cw_at={','.join(positions)}") as peer:
        await peer.call("hello")
        await peer.receive("$ready")
        yield peer


async def room(peer: EventClient) -> tuple[Any, ...]:
    """Return what a client is told of a room: its position, whether it is recovered, the reason."""
    data = (await peer.receive("$room")).data
    assert data["room"] == ["chat", "1"]
    return data["at"], data["recovered"], data["reason"]


async def position_again(peer: EventClient) -> str:
    """Return the position that a client gets after it had none; it may be told again before that it has none."""
    while (told := await room(peer))[0] is None:
        assert told[1] is False
    assert told[1] is False
    return str(told[0])


async def said(peer: EventClient, number: int) -> list[Any]:
    return [(await peer.receive("said")).data for _ in range(number)]


def after(position: str, number: int) -> str:
    epoch, _, offset = position.partition(".")
    return f"{epoch}.{int(offset) + number}"


async def test_a_client_comes_back_to_another_server(bus: Bus) -> None:
    worker = Node("worker", bus=bus)
    async with servers_with_history(bus, "a", "b") as (a, b), running(worker):
        async with coming(a, "1") as peer:
            await peer.call("join", ["chat", "1"])
            start, recovered, _ = await room(peer)
            assert recovered is None
            for node in (a, b, worker):
                node.room("chat", "1").send("said", node.name)
            assert sorted(await said(peer, 3)) == ["a", "b", "worker"]
        await worker.room("chat", "1").publish("said", "missed")
        async with coming(b, "1", "k3xQ9a2f.7", after(start, 3)) as peer:
            await peer.call("join", ["chat", "1"])
            assert await room(peer) == (after(start, 3), True, None)
            worker.room("chat", "1").send("said", "new")
            assert await said(peer, 2) == ["missed", "new"]


async def test_a_worker_adds_users_who_come_back(bus: Bus) -> None:
    worker = Node("worker", bus=bus)
    async with servers_with_history(bus, "a", "b", duplicates="allow") as (a, b), running(worker):
        here = worker.room("chat", "1")
        start = await here.publish("said", "first")
        await here.publish("said", "second")
        async with coming(a, "1", start) as one, coming(b, "1") as two, client(b, "1") as old:
            assert dict(await here.add("1")) == {"a": 1, "b": 2}
            assert (await room(one), await room(two)) == ((start, True, None), (after(start, 1), None, None))
            assert await said(one, 1) == ["second"]
            here.send("said", "third")
            assert [await said(peer, 1) for peer in (one, two, old)] == [["third"]] * 3
            assert dict(await here.remove("1")) == {"a": 1, "b": 2}
            for peer in (one, two):
                assert (await peer.receive("$left")).data == {"room": ["chat", "1"]}
            old.send("me")
            a.user("1").send("end")
            assert (await old.receive()).event == "end"


async def test_many_clients_come_back_to_servers_that_have_just_started(bus: Bus) -> None:
    worker = Node("worker", bus=bus)
    worker.history("chat", size=100, ttl=300)
    async with running(worker):
        positions = {id: await worker.room("chat", id).publish("said", "first") for id in map(str, range(10))}
        for id in positions:
            for number in range(20):
                worker.room("chat", id).send("said", number)
            await worker.room("chat", id).publish("said", "last")
        a, b = make_server("a", bus), make_server("b", bus)
        async with running(a, b), AsyncExitStack() as stack:
            peers = []
            for number in range(200):
                id = str(number % 10)
                target = f"/?id={number}&_cw=2&_cw_at={positions[id]}"
                peers.append((id, await stack.enter_async_context(connect((a, b)[number % 2], target))))
            await asyncio.gather(*(peer.call("join", ["chat", id]) for id, peer in peers))
            for id, peer in peers:
                data = (await peer.receive("$room")).data
                assert data == {"room": ["chat", id], "at": positions[id], "recovered": True, "reason": None}
                assert await said(peer, 21) == [*range(20), "last"]


async def test_clients_join_while_the_log_is_unreachable_and_are_told_when_it_is_back() -> None:
    with RedisProcess() as process:
        bus = Redis(process.url, prefix=f"test-{secrets.token_hex(4)}:")
        async with servers_with_history(bus, "a") as (a,):
            start = await a.room("chat", "1").publish("said", "first")
            process.kill()
            await wait_until(lambda: not any(status.healthy for status in a.cluster.redis.status()))
            async with coming(a, "1", start) as peer, coming(a, "2") as new, client(a, "3") as old:
                for each in (peer, new, old):
                    await each.call("join", ["chat", "1"])
                assert await room(peer) == (None, False, "unavailable")
                assert await room(new) == (None, None, None)
                a.room("chat", "1").send("said", "meanwhile")
                assert [await said(each, 1) for each in (peer, new, old)] == [["meanwhile"]] * 3
                await asyncio.to_thread(process.restart)
                told = [await position_again(each) for each in (peer, new)]
                assert told[0] == told[1]
                a.room("chat", "1").send("said", "after")
                assert [await said(each, 1) for each in (peer, new, old)] == [["after"]] * 3
            async with coming(a, "1", start) as peer:
                await peer.call("join", ["chat", "1"])
                _, recovered, _ = await room(peer)
                assert recovered is None  # the Redis came back empty: the position is of another epoch


async def test_nothing_is_left_of_rooms_that_nobody_is_in(bus: Bus) -> None:
    async with servers_with_history(bus, "a") as (a,):
        async with coming(a, "1") as peer:
            for number in range(20):
                await peer.call("join", ["chat", str(number)])
            for number in range(10):
                await peer.call("leave", ["chat", str(number)])
            assert a.local_rooms.ids("chat") == {str(number) for number in range(10, 20)}
        await wait_until(lambda: not a.sockets)
        channels = a.cluster.client_channels()
        assert channels is not None
        assert [number for number in range(20) if channels.timeline("chat", str(number)) is not None] == []
