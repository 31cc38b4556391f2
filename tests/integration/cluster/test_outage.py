"""An outage of all Redis: local delivery, waiting messages, errors, and the recovery."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from crosswire import BusUnavailable, GapInfo, Heartbeat, LinkStatus, Node, Redis, Server
from crosswire.core.membership import DEAD_AFTER
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.redis.support import Stopwatch
from tests.integration.cluster.support import RecordingHandler, client, make_server, running, running_nodes
from tests.support.aio import wait_until

RECOVERY_TIMEOUT = 2.0
"""Seconds after the return of a Redis within which all works again."""
_SLACK = 2.0


def bus_over(redis: RedisProcess, **options: Any) -> Redis:
    return Redis(redis.url, prefix=f"test-{secrets.token_hex(4)}:", **options)


async def until_noticed(*nodes: Node) -> None:
    await wait_until(lambda: not any(status.healthy for node in nodes for status in node.redis.status()))


@asynccontextmanager
async def outage(redis: RedisProcess, *nodes: Node) -> AsyncIterator[None]:
    """Redis is gone within, and back at once after it."""
    redis.kill()
    await until_noticed(*nodes)
    yield
    await asyncio.to_thread(redis.restart)


async def test_local_delivery_goes_on_during_an_outage(redis: RedisProcess) -> None:
    a = make_server("a", bus_over(redis))
    heard = RecordingHandler(answer=1)
    a.cluster.on("x", heard)
    async with running(a), client(a, "1") as peer, outage(redis, a.cluster):
        a.user("1").send("u")
        a.everyone.send("e")
        async with client(a, "2") as newcomer:  # new clients are served meanwhile
            await newcomer.call("join", ["chat", "r"])
            a.room("chat", "r").send("r")
            assert [(await newcomer.receive()).event for _ in range(1)] == ["r"]
            assert await a.everyone.count() == 2
            assert dict(await a.room("chat", "r").add("1")) == {"a": 1}
        assert [(await peer.receive()).event for _ in range(2)] == ["u", "e"]
        a.cluster.send("x", 1)
        assert await a.cluster.call("a", "x") == 1
        assert dict(await a.cluster.gather("x")) == {"a": 1}


async def test_a_call_fails_at_once_and_a_gather_says_who_is_missing(redis: RedisProcess) -> None:
    async with running_nodes(bus_over(redis), "a", "b") as (a, b), outage(redis, a, b):
        a.on("x", lambda: 1)
        watch = Stopwatch()
        with pytest.raises(BusUnavailable):
            await a.call("b", "x", timeout=60)
        replies = await a.gather("x", timeout=60)
        assert (dict(replies), replies.missing) == ({"a": 1}, ("b",))
        stream = a.stream("x", timeout=60)
        assert [reply.sender async for reply in stream] == ["a"]
        assert stream.missing == ("b",)
        assert watch.awake < 1


async def test_audiences_name_the_nodes_that_can_not_be_reached(redis: RedisProcess) -> None:
    bus = bus_over(redis)
    a, b = make_server("a", bus), make_server("b", bus)
    async with running(a, b), outage(redis, a.cluster, b.cluster):
        watch = Stopwatch()
        assert (await a.everyone.count()).missing == ("b",)
        assert (await a.room("chat", "r").members()).missing == ("b",)
        replies = await a.room("chat", "r").add("1")
        assert (dict(replies), replies.missing) == ({"a": 0}, ("b",))
        assert watch.awake < 1


async def test_messages_sent_during_an_outage_arrive_afterwards(redis: RedisProcess) -> None:
    bus = bus_over(redis)
    a, b = make_server("a", bus), make_server("b", bus)
    heard = RecordingHandler()
    b.cluster.on("x", heard)
    async with running(a, b), client(b, "1") as peer:
        async with outage(redis, a.cluster, b.cluster):
            for number in range(100):
                a.user("1").send("u", number)
                a.cluster.send("x", number, to="b")
        assert [(await peer.receive()).data for _ in range(100)] == list(range(100))
        await wait_until(lambda: [data for _, data in heard.calls] == list(range(100)))
        assert a.cluster.dropped == 0


@pytest.mark.parametrize("overflow", ["drop", "raise"])
async def test_a_full_buffer_drops_or_raises_and_counts(redis: RedisProcess, overflow: str) -> None:
    bus = bus_over(redis, buffer=20_000, overflow=overflow)
    heard = RecordingHandler()
    async with running_nodes(bus, "a", "b") as (a, b):
        b.on("x", heard)
        raised = 0
        async with outage(redis, a, b):
            for number in range(100):
                try:
                    a.send("x", [number, "-" * 1000], to="b")
                except BusUnavailable:
                    raised += 1
        kept = 100 - (raised or a.dropped)
        assert 10 < kept < 20
        assert (raised > 0) == (overflow == "raise")
        await wait_until(lambda: len(heard.calls) == kept)
        assert [data[0] for _, data in heard.calls] == list(range(kept))  # the first ones, in order
        a.send("x", [100], to="b")  # and then there is room again
        await wait_until(lambda: heard.calls[-1][1] == [100])


async def test_a_message_refused_by_a_full_buffer_leaves_no_gap(redis: RedisProcess) -> None:
    bus = bus_over(redis, buffer=20_000, overflow="raise")
    a, b = make_server("a", bus), make_server("b", bus)
    heard, gaps = RecordingHandler(), list[GapInfo]()
    b.cluster.on("x", heard)
    b.cluster.on_gap(gaps.append)
    everybody = ["own", *map(str, range(10))]
    async with running(a, b), client(a, "own") as own, client(b, "1") as peer, client(b, "2") as other:
        async with outage(redis, a.cluster, b.cluster):
            told = len(gaps)
            a.users(everybody).send("u", "-" * 1000)  # 11 messages
            with pytest.raises(BusUnavailable):
                a.users(everybody).send("refused", "-" * 1500)
            with pytest.raises(BusUnavailable):
                a.everyone.send("refused", "-" * 15_000)
            with pytest.raises(BusUnavailable):
                a.cluster.send("x", "-" * 5_000, to=["b", "c", "d", "e"])
        for each in (own, peer, other):
            assert (await each.receive()).event == "u"
        a.everyone.send("end")
        a.cluster.send("x", "end", to="b")
        for each in (own, peer, other):
            assert (await each.receive()).event == "end"
        await wait_until(lambda: [data for _, data in heard.calls] == ["end"])
        assert [gap for gap in gaps[told:] if not gap.url] == []


async def test_everything_works_again_soon_after_the_outage(redis: RedisProcess) -> None:
    bus = bus_over(redis)
    a, b = make_server("a", bus), make_server("b", bus)
    b.cluster.on("x", lambda: "again")
    health: list[LinkStatus] = []
    gaps: list[GapInfo] = []
    a.cluster.on_bus_health(health.append)
    a.cluster.on_gap(gaps.append)
    loop = asyncio.get_running_loop()
    async with running(a, b), client(b, "1") as peer:
        await b.cluster.subscribe("orders", orders := RecordingHandler())
        await peer.call("join", ["chat", "r"])
        incarnations = {name: info.incarnation for name, info in a.cluster.nodes.items()}
        async with outage(redis, a.cluster, b.cluster):
            await wait_until(lambda: not health[-1].healthy)  # told in a later turn
            assert b.socket_of("1") is not None
            await b.socket_of("1").join("chat", "joined meanwhile")  # type: ignore[union-attr]
        began = loop.time()
        await wait_until(lambda: health[-1].healthy)
        while True:
            try:
                assert await a.cluster.call("b", "x") == "again"
                break
            except BusUnavailable:
                await asyncio.sleep(0.01)
        await wait_until(lambda: all(status.healthy for status in b.cluster.redis.status()))
        assert loop.time() - began < RECOVERY_TIMEOUT + _SLACK
        for room in ("r", "joined meanwhile"):
            a.room("chat", room).send(room)
            await peer.receive(room)
        a.cluster.publish("orders", 1)
        await wait_until(lambda: orders.calls)
        assert {
            name: info.incarnation for name, info in a.cluster.nodes.items()
        } == incarnations  # no node was given up
        assert a.cluster.gaps == len(gaps) >= 1
        assert gaps[0].since < gaps[0].until


async def test_a_node_that_starts_without_redis_joins_when_it_is_there(redis: RedisProcess) -> None:
    bus = bus_over(redis)
    redis.kill()
    a, b = make_server("a", bus), Node("b", bus=bus)
    await asyncio.gather(a.start(listen=False), b.start())
    async with client(a, "1") as peer:
        assert await peer.call("hello") == "a"
        assert list(b.nodes) == ["b"]
        await asyncio.to_thread(redis.restart)
        await wait_until(lambda: "b" in a.cluster.nodes and "a" in b.nodes)
        b.user("1").send("x")
        await peer.receive("x")
    await b.stop()
    await a.stop()


@pytest.mark.parametrize("duplicates", ["replace", "refuse"])
async def test_of_users_that_logged_in_twice_meanwhile_one_connection_is_left(
    redis: RedisProcess, duplicates: str
) -> None:
    bus = bus_over(redis)
    servers: list[Server] = [make_server(name, bus, duplicates=duplicates) for name in "ab"]
    a, b = servers
    async with running(a, b), client(a, "1") as first:
        await wait_until(lambda: "a" in b.cluster.nodes)
        redis.kill()
        await until_noticed(a.cluster, b.cluster)
        async with client(b, "1") as second:
            await asyncio.to_thread(redis.restart)
            loser = first if duplicates == "replace" else second
            assert (await loser.closed()).code == 4012
            assert sum(server.socket_of("1") is not None for server in servers) == 1


async def test_a_connection_that_died_during_an_outage_is_dropped_for_a_newer_one(redis: RedisProcess) -> None:
    bus = bus_over(redis)
    servers: list[Server] = [
        make_server(name, bus, duplicates="refuse", heartbeat=Heartbeat(probe=0.5)) for name in "ab"
    ]
    a, b = servers
    async with running(a, b), client(a, "1") as dead:
        await wait_until(lambda: "a" in b.cluster.nodes)
        redis.kill()
        await until_noticed(a.cluster, b.cluster)
        dead.peer.pause_reading()
        async with client(b, "1") as second:
            await asyncio.to_thread(redis.restart)
            await wait_until(lambda: a.socket_of("1") is None, timeout=15)
            assert await second.call("hello") == "b"


async def test_a_redis_that_hangs_for_longer_than_a_node_may_be_silent_costs_no_member(redis: RedisProcess) -> None:
    bus = bus_over(redis)
    async with running_nodes(bus, "a", "b") as (a, b):
        b.on("x", lambda: "again")
        left: list[str] = []
        a.on_leave(lambda info, reason: left.append(info.name))
        loop = asyncio.get_running_loop()
        redis.pause()
        began = loop.time()
        await until_noticed(a, b)
        with pytest.raises(BusUnavailable):
            await a.call("b", "x")
        await wait_until(lambda: loop.time() - began > DEAD_AFTER + 1)
        redis.resume()
        began = loop.time()
        await wait_until(lambda: all(status.healthy for node in (a, b) for status in node.redis.status()))
        assert await a.call("b", "x") == "again"
        assert loop.time() - began < RECOVERY_TIMEOUT + _SLACK
        assert left == []
