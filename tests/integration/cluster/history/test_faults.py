from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from crosswire import BusUnavailable, GapInfo, Redis
from crosswire.cluster.history import node_history, rooms
from crosswire.core.positions import LogPosition
from crosswire.core.targets import ToRoom
from crosswire.core.timeline import Recovery
from crosswire.testing.proxy import ProxiedConnection, TcpProxy
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.history.support import LONG, HistoryNode, history_nodes
from tests.support.aio import wait_until


@asynccontextmanager
async def proxied_nodes(
    redis: RedisProcess, *names: str, size: int = 5000
) -> AsyncIterator[tuple[list[HistoryNode], list[TcpProxy]]]:
    """Run nodes, each behind a proxy of its own; all keep the history of the namespace "chat"."""
    async with AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(TcpProxy("127.0.0.1", redis.port)) for _ in names]
        prefix = f"test-{secrets.token_hex(4)}:"
        nodes: list[HistoryNode] = []
        for name, proxy in zip(names, proxies, strict=True):
            node = HistoryNode(name, Redis(f"redis://127.0.0.1:{proxy.port}", prefix=prefix))
            node.history("chat", size=size, ttl=60)
            await stack.enter_async_context(node)
            nodes.append(node)
        yield nodes, proxies


def link_of(proxy: TcpProxy, what: bytes) -> ProxiedConnection:
    """Return the newest connection that has something in its first bytes."""
    return next(link for link in reversed(proxy.links) if what in link.first_bytes)


def room_held_by(node: HistoryNode, redis: RedisProcess) -> str:
    """Return the id of a room whose log a Redis holds."""
    history = node._connection().histories.of_rooms
    return next(
        str(number)
        for number in range(1000)
        if str(redis.port) in history.log.holder(history.log_of(ToRoom("chat", str(number))))
    )


async def test_a_subscriber_link_that_is_cut_leaves_no_hole(redis_process: RedisProcess) -> None:
    async with proxied_nodes(redis_process, "a", "b") as ((a, b), (_, proxy)):
        gaps: list[GapInfo] = []
        b.on_gap(gaps.append)
        await b.join("chat", "1")
        for number in range(300):
            a.room("chat", "1").send("said", number)
            if number == 50:
                await b.wait_for("chat", "1", 30)
                proxy.cut(link_of(proxy, b"SUBSCRIBE"))
            await asyncio.sleep(0.001)

        await b.wait_for("chat", "1", 300)

        assert b.data("chat", "1") == list(range(300))
        assert b.told("chat", "1") == []
        assert [gap.room for gap in gaps if gap.room is not None] == []


async def test_what_was_said_while_a_subscriber_link_was_away_is_read_when_it_is_back(
    redis_process: RedisProcess,
) -> None:
    async with proxied_nodes(redis_process, "a", "b") as ((a, b), (_, proxy)):
        await b.join("chat", "1")
        proxy.refuse()
        proxy.cut()
        await wait_until(lambda: not b.bus_available, LONG)
        for number in range(10):
            await a.room("chat", "1").publish("said", number)
        proxy.refuse(refusing=False)

        await b.wait_for("chat", "1", 10)  # nothing more is said, which would show that something is missing
        assert b.data("chat", "1") == list(range(10))
        assert b.told("chat", "1") == []


async def test_what_a_cut_link_to_the_log_swallows_is_neither_lost_nor_heard_twice(redis_process: RedisProcess) -> None:
    async with proxied_nodes(redis_process, "a", "b") as ((a, b), (proxy, _)):
        for node in (a, b):
            await node.join("chat", "1")
        for number in range(300):
            a.room("chat", "1").send("said", number)
            if number % 100 == 50:
                proxy.cut(link_of(proxy, b":log"))
            await asyncio.sleep(0.001)

        for node in (a, b):
            await node.wait_for("chat", "1", 300)

        assert b.data("chat", "1") == list(range(300))
        assert a.all("chat", "1") == b.all("chat", "1")


async def test_a_redis_that_is_killed_and_starts_empty_begins_anew() -> None:
    with RedisProcess() as redis:
        async with history_nodes(Redis(redis.url), "a", "b") as (a, b):
            for node in (a, b):
                await node.join("chat", "1")
            a.room("chat", "1").send("said", 0)
            await b.wait_for("chat", "1", 1)
            before = b.positions("chat", "1")[0]
            assert before is not None

            redis.kill()
            redis.restart()
            await wait_until(lambda: a.bus_available and b.bus_available, LONG)
            number = 0
            while not b.told("chat", "1") or len(b.data("chat", "1")) < 3:
                number += 1
                a.room("chat", "1").send("said", number)
                await asyncio.sleep(0.05)
            await wait_until(lambda: b.data("chat", "1")[-1] == number, LONG)

            data = b.data("chat", "1")
            assert data == sorted(set(data))
            assert b.told("chat", "1")[-1].reason == "epoch"
            assert before[:8] not in {str(at)[:8] for at in b.positions("chat", "1")[1:]}
            assert before[:8] != str(b.timeline("chat", "1").position)[:8]


async def test_messages_go_on_without_a_position_while_the_redis_of_their_log_is_gone() -> None:
    with RedisProcess() as first, RedisProcess() as second:
        async with history_nodes(Redis([first.url, second.url]), "a", "b") as (a, b):
            room = room_held_by(a, first)
            for node in (a, b):
                await node.join("chat", room)
            a.room("chat", room).send("said", "before")
            await b.wait_for("chat", room, 1)
            before = b.positions("chat", room)[0]

            first.kill()
            began = time.monotonic()
            for number in range(10):
                a.room("chat", room).send("said", number)
            for node in (a, b):
                await node.wait_for("chat", room, 11)
            assert time.monotonic() - began < 10
            assert b.positions("chat", room)[1:] == [None] * 10
            assert b.timeline("chat", room).position is None

            first.restart()
            for node in (a, b):
                await wait_until(lambda node=node: node.told("chat", room), LONG)  # type: ignore[misc]
                assert node.data("chat", room) == ["before", *range(10)]
            assert str(b.timeline("chat", room).position)[:8] != str(before)[:8]
            a.room("chat", room).send("said", "after")
            await b.wait_for("chat", room, 12)
            assert b.positions("chat", room)[-1] is not None


async def test_a_node_that_comes_after_an_outage_knows_that_a_room_is_void() -> None:
    with RedisProcess() as first, RedisProcess() as second:
        bus = Redis([first.url, second.url])
        async with history_nodes(bus, "a", "b") as (a, b):
            room = room_held_by(a, first)
            await a.room("chat", room).publish("said", "before")
            timeline = await a.join("chat", room)
            assert timeline is not None
            before = timeline.position
            first.pause()
            try:
                a.room("chat", room).send("said", "past the log")
                await a.wait_for("chat", room, 1)
                await wait_until(lambda: ToRoom("chat", room) in b._connection().histories._voids, LONG)
                async with HistoryNode("c", bus) as c:
                    await wait_until(lambda: ToRoom("chat", room) in c._connection().histories._voids, LONG)
            finally:
                first.resume()

            await wait_until(lambda: ToRoom("chat", room) not in b._connection().histories._voids, LONG)
            later = await b.join("chat", room)
            assert later is not None
            assert before is not None
            recovery = later.recover(before, rewind=0, now=time.time(), max_bytes=1_000_000)
            assert recovery.recovered is False


async def test_a_redis_that_dies_loses_nothing_with_redundant_delivery() -> None:
    with RedisProcess() as first, RedisProcess() as second, RedisProcess() as third:
        bus = Redis([first.url, second.url, third.url], delivery="redundant")
        async with history_nodes(bus, "a", "b") as (a, b):
            room = room_held_by(a, first)
            for node in (a, b):
                await node.join("chat", room)
            for number in range(400):
                a.room("chat", room).send("said", number)
                if number == 200:
                    first.kill()
                await asyncio.sleep(0.002)
            for node in (a, b):
                await node.wait_for("chat", room, 400)
                held = node._connection().histories.of_rooms._held
                await wait_until(lambda held=held: len(held) == 0, LONG)  # type: ignore[misc]
                assert sorted(node.data("chat", room)) == list(range(400))


async def test_a_publish_that_is_not_kept_in_time_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_history, "KEPT_TIMEOUT", 1.0)
    with RedisProcess() as redis:
        async with history_nodes(Redis(redis.url), "a") as (a,):
            await a.join("chat", "1")
            await a.room("chat", "1").publish("said", 0)
            redis.pause()
            try:
                with pytest.raises(BusUnavailable, match="id="):
                    await a.room("chat", "1").publish("said", 1, id="x")
            finally:
                redis.resume()
            history = a._connection().histories.of_rooms
            await wait_until(lambda: history.log.is_available(history.log_of(ToRoom("chat", "1"))), LONG)
            monkeypatch.undo()
            position = await a.room("chat", "1").publish("said", 1, id="x")
            await a.wait_for("chat", "1", 2)
            assert a.data("chat", "1") == [0, 1]
            assert a.positions("chat", "1")[-1] == position


async def test_a_hole_that_can_not_be_filled_is_told_with_its_room(redis_process: RedisProcess) -> None:
    async with proxied_nodes(redis_process, "a", "b", size=3) as ((a, b), (_, proxy)):
        gaps: list[GapInfo] = []
        b.on_gap(gaps.append)
        await b.join("chat", "1")
        proxy.refuse()
        proxy.cut()
        await wait_until(lambda: not b.bus_available, LONG)
        for number in range(10):
            await a.room("chat", "1").publish("said", number)
        proxy.refuse(refusing=False)

        await b.wait_for("chat", "1", 3)
        assert b.data("chat", "1") == [7, 8, 9]
        (told,) = b.told("chat", "1")
        assert told.reason == "trimmed"
        await wait_until(lambda: [gap.room for gap in gaps if gap.room] == [("chat", "1")], LONG)


async def test_what_waits_when_a_node_dies_is_taken_over() -> None:
    with RedisProcess() as first, RedisProcess() as second:
        async with history_nodes(Redis([first.url, second.url]), "b") as (b,):
            a = HistoryNode("a", b.bus)
            await a.start()
            room = room_held_by(b, first)
            timeline = await b.join("chat", room)
            assert timeline is not None
            await a.room("chat", room).publish("said", "before")
            await b.wait_for("chat", room, 1)  # a Redis that is killed may not have told it to all
            before = timeline.position
            first.kill()
            a.room("chat", room).send("said", "past the log")
            await b.wait_for("chat", room, 2)
            await a.stop()
            assert timeline.position is None

            first.restart()

            await wait_until(lambda: timeline.position is not None, LONG)
            assert before is not None
            assert timeline.position is not None
            assert timeline.position.epoch != before.epoch
            assert b.told("chat", room)[-1].reason == "epoch"


async def test_nobody_is_recovered_while_the_log_cannot_be_reached(redis_process: RedisProcess) -> None:
    async with proxied_nodes(redis_process, "a", "b") as ((a, b), (_, proxy)):
        await b.join("chat", "1")
        for number in range(3):
            a.room("chat", "1").send("said", number)
        await b.wait_for("chat", "1", 3)
        before = LogPosition(b.timeline("chat", "1").position.epoch, 1)  # type: ignore[union-attr]

        def come_back() -> Recovery:
            return b.timeline("chat", "1").recover(before, rewind=0, now=time.time(), max_bytes=10_000)

        assert come_back().recovered
        proxy.refuse()
        proxy.cut()
        await wait_until(lambda: come_back().reason == "unavailable", LONG)
        await asyncio.wait_for(b.join("chat", "1"), LONG)  # it waits for a while, not for ever
        assert come_back().reason == "unavailable"
        a.room("chat", "1").send("said", 3)
        proxy.refuse(False)
        await wait_until(lambda: come_back().recovered, LONG)
        assert len(come_back().messages) == 3
        assert not b.told("chat", "1")


async def test_a_join_waits_for_a_log_that_is_lost_for_a_moment(
    redis_process: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "JOIN_PATIENCE", LONG)
    async with proxied_nodes(redis_process, "a", "b") as ((a, b), (_, proxy)):
        await b.join("chat", "1")
        a.room("chat", "1").send("said", 0)
        await b.wait_for("chat", "1", 1)
        timeline = b.timeline("chat", "1")

        def come_back() -> Recovery:
            return timeline.recover(timeline.position, rewind=0, now=time.time(), max_bytes=10_000)

        proxy.refuse()
        proxy.cut()
        await wait_until(lambda: come_back().reason == "unavailable", LONG)
        join = asyncio.create_task(b.join("chat", "1"))
        await asyncio.sleep(0)
        assert not join.done()
        proxy.refuse(False)
        await join
        assert come_back().recovered


async def test_who_comes_while_the_log_is_away_hears_no_older_messages_behind_newer_ones(
    redis_process: RedisProcess,
) -> None:
    async with proxied_nodes(redis_process, "a") as ((a,), (proxy,)):
        history, room = a._connection().histories.of_rooms, ToRoom("chat", "1")
        proxy.refuse()
        proxy.cut()
        await wait_until(lambda: not history.log.is_available(history.log_of(room)), LONG)
        for number in range(3):
            a.room("chat", "1").send("said", number)
        await wait_until(lambda: len(history.appends.delivered(room)) == 3, LONG)
        await a.join("chat", "1")
        for number in range(3, 6):
            a.room("chat", "1").send("said", number)
        await a.wait_for("chat", "1", 3)
        proxy.refuse(False)
        await wait_until(lambda: [told.reason for told in a.told("chat", "1")] == ["epoch"], LONG)
        a.room("chat", "1").send("said", 6)
        await a.wait_for("chat", "1", 4)
        assert a.data("chat", "1") == [3, 4, 5, 6]
