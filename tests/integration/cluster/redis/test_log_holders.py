"""Which Redis holds the log of a room, and how a node reaches it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosswire.cluster.redis.options import Redis
from crosswire.cluster.redis.port import RedisPort
from crosswire.testing.log_member import LogMember
from crosswire.testing.redis_process import RedisProcess
from crosswire.testing.sentinels import SentinelGroup
from tests.integration.cluster.redis.test_log_faults import members
from tests.support.aio import wait_until

FAILOVER_TIMEOUT = 40.0
"""Seconds that a failover may take on a busy machine; it takes two."""


@pytest.fixture(scope="module")
def servers() -> Iterator[list[RedisProcess]]:
    with RedisProcess() as one, RedisProcess() as two:
        yield [one, two]


def port_of(member: LogMember) -> RedisPort:
    assert isinstance(member.port, RedisPort)
    return member.port


def connections_for_logs(redis: RedisProcess) -> int:
    return sum(":log " in line for line in str(redis.command("CLIENT", "LIST")).splitlines())


async def test_a_log_that_moves_away_and_back_begins_anew(servers: list[RedisProcess]) -> None:
    """What was said meanwhile is nowhere: a position from before must not pass for one of the present log."""
    one, two = servers
    async with members(one.url, 2) as (a, b):
        rooms = [a.room(f"{{{number}}}%") for number in range(40)]
        before = [(await a.append(room, b"1"))[0] for room in rooms]
        for member in (a, b):
            await port_of(member).add(two.url)
        moved = [room for room in rooms if a.log.holder(room).endswith(f":{two.port}")]
        assert 0 < len(moved) < len(rooms)

        states = rooms[0].channel.decode().partition("r:")[0] + "m{*"
        await wait_until(lambda: len(one.command("KEYS", states)) == len(rooms) - len(moved), 20)
        for room in moved:
            await wait_until(lambda room=room: a.log.is_available(room), 20)  # type: ignore[misc]
            await a.append(room, b"2")
        for member in (a, b):
            await port_of(member).retire(two.url)
        await wait_until(lambda: two.command("KEYS", states) == [], 20)
        for member in (a, b):
            await port_of(member).remove(two.url)
        for room, position in zip(rooms, before, strict=True):
            tail = await b.log.read(room)
            assert (tail.last.epoch == position.epoch) is (room not in moved)


async def test_logs_that_have_moved_are_removed_when_their_redis_can_be_reached_again() -> None:
    with RedisProcess() as one, RedisProcess() as two:
        async with members(one.url, 1) as (a,):
            rooms = [a.room(f"{number}") for number in range(40)]
            for room in rooms:
                await a.append(room, b"1")
            one.pause()
            await wait_until(lambda: not a.log.is_available(rooms[0]), 20)
            await port_of(a).add(two.url)
            one.resume()
            states = rooms[0].channel.decode().partition("r:")[0] + "m{*"
            stay = [room for room in rooms if a.log.holder(room).endswith(f":{one.port}")]
            assert 0 < len(stay) < len(rooms)
            await wait_until(lambda: len(one.command("KEYS", states)) == len(stay), 20)


async def test_logs_move_with_the_redis_that_are_in_use(servers: list[RedisProcess]) -> None:
    one, two = servers
    async with members(one.url, 2) as (a, b):
        rooms = [a.room(f"{number}") for number in range(40)]
        before = [(await a.append(room, b"1"))[0] for room in rooms]
        for member in (a, b):
            await port_of(member).add(two.url)
        assert a.recorded.events.count("logs moved") == 1
        assert len({a.log.holder(room) for room in rooms}) == 2
        assert [a.log.holder(room) for room in rooms] == [b.log.holder(room) for room in rooms]
        for room, position in zip(rooms, before, strict=True):
            await wait_until(lambda room=room: a.log.is_available(room), 20)  # type: ignore[misc]
            after = (await a.append(room, b"2"))[0]
            if a.log.holder(room).endswith(f":{one.port}"):
                assert (after.epoch, after.offset) == (position.epoch, 2)
            else:
                assert (after.epoch != position.epoch, after.offset) == (True, 1)
        for member in (a, b):
            await port_of(member).remove(two.url)
        assert a.recorded.events.count("logs moved") == 2
        assert [a.log.holder(room) for room in rooms] == [a.log.holder(rooms[0])] * len(rooms)
        assert await a.log.last_positions(rooms)
        await wait_until(lambda: connections_for_logs(two) == 0)


async def test_a_redis_that_is_down_keeps_its_rooms(servers: list[RedisProcess]) -> None:
    with RedisProcess() as mortal:
        bus = Redis([servers[0].url, mortal.url], ping_interval=0.2, ping_timeout=0.6)
        member = LogMember(bus, "a")
        await member.start()
        rooms = [member.room(f"{number}") for number in range(40)]
        holders = [member.log.holder(room) for room in rooms]
        assert len(set(holders)) == 2
        mortal.kill()
        of_mortal = next(room for room in rooms if member.log.holder(room).endswith(f":{mortal.port}"))
        await wait_until(lambda: not member.log.is_available(of_mortal), 20)
        assert [member.log.holder(room) for room in rooms] == holders
        assert [member.log.is_available(room) for room in rooms] == [
            holder != holders[rooms.index(of_mortal)] for holder in holders
        ]
        mortal.restart()
        await wait_until(lambda: member.log.is_available(of_mortal), 20)
        await member.stop()


async def test_a_node_without_history_has_no_connection_for_it(servers: list[RedisProcess]) -> None:
    one, _ = servers
    await wait_until(lambda: connections_for_logs(one) == 0)
    member = LogMember(Redis(one.url), "a")
    await member.port.start()
    assert connections_for_logs(one) == 0
    await member.log.start()
    assert connections_for_logs(one) == 1
    await member.stop()


async def test_a_start_does_not_wait_long_for_a_redis_that_is_down() -> None:
    with RedisProcess() as redis:
        redis.kill()
        member = LogMember(Redis(redis.url), "a")
        await asyncio.wait_for(member.start(), 20)
        room = member.room("1")
        assert not member.log.is_available(room)
        redis.restart()
        await wait_until(lambda: member.log.is_available(room), 20)
        await member.append(room, b"1")
        await member.stop()


async def test_a_log_with_a_password_and_a_database(tmp_path: Path) -> None:
    with RedisProcess(password="s3cr3t") as redis:
        async with members(f"{redis.url}/3") as (member,):
            room = member.room("1")
            await member.append(room, b"1")
            assert await member.bodies(room) == [b"1"]
        assert "db3" in redis.command("INFO", "keyspace")


async def test_after_a_failover_the_log_is_another_one() -> None:
    with SentinelGroup() as group:
        async with members(group.url, 2) as (a, b):
            room = a.room("1")
            (before,) = await a.append(room, b"1")
            group.master.kill()
            await wait_until(lambda: not a.log.is_available(room), 20)
            await wait_until(lambda: a.log.is_available(room) and b.log.is_available(room), FAILOVER_TIMEOUT)
            (after,) = await a.append(room, b"2")
            assert after.epoch != before.epoch
            assert await b.bodies(room) == [b"2"]
