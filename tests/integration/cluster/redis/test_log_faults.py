"""The logs of rooms while their Redis forgets, fills up, hangs, dies, goes back in time, and is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from crosswire.cluster.log.interface import AppendFailure, NewMessage, RoomLog, Tail
from crosswire.cluster.redis.options import Redis
from crosswire.core.positions import LogPosition
from crosswire.errors import BusUnavailable
from crosswire.testing.log_member import AppendFailed, LogMember
from crosswire.testing.proxy import TcpProxy
from crosswire.testing.redis_process import RedisProcess, servers_here
from tests.support.aio import wait_until

IN_FLIGHT = 16
"""Number of messages that a sender has on their way."""


@pytest.fixture(params=servers_here(), ids=lambda path: path.name)
def binary(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture
def redis(binary: Path) -> Iterator[RedisProcess]:
    with RedisProcess(binary, config={"repl-diskless-sync-delay": "0"}) as process:
        yield process


@pytest.fixture
def other(binary: Path) -> Iterator[RedisProcess]:
    with RedisProcess(binary, config={"repl-diskless-sync-delay": "0"}) as process:
        yield process


@asynccontextmanager
async def members(url: str, count: int = 1) -> AsyncIterator[list[LogMember]]:
    bus = Redis(url, ping_interval=0.2, ping_timeout=0.6)
    made = [LogMember(bus, f"node {number}") for number in range(count)]
    try:
        for member in made:
            await member.start()
        yield made
    finally:
        for member in made:
            await member.stop()


async def send_all(member: LogMember, room: RoomLog, bodies: list[bytes]) -> None:
    """Append messages in their order, several at a time, each again until it is kept."""
    messages = [member.message(body) for body in bodies]
    while messages:
        chunk, previous, waiting = messages[:IN_FLIGHT], 0, []
        await wait_until(lambda: member.log.is_available(room), 20)
        for message in chunk:
            waiting.append(member.begin(room, message, previous=previous))
            previous = message.number
            await asyncio.sleep(0)
        await asyncio.wait(waiting, timeout=20)
        failures = [each.exception() for each in waiting]
        lost = [failure for failure in failures if failure is not None]
        assert all(isinstance(each, AppendFailed) and each.failure is AppendFailure.LOST for each in lost), lost
        assert failures == [None] * (len(chunk) - len(lost)) + lost, "one behind a lost one was kept"
        messages = messages[len(chunk) - len(lost) :]


async def require_once_and_in_order(member: LogMember, room: RoomLog, *senders: list[bytes]) -> None:
    """Check that the log has every sender's messages, once each and in order, and that its offsets have no hole."""
    tail = await read_when_available(member, room)
    assert [record.offset for record in tail.records] == list(range(1, sum(map(len, senders)) + 1))
    for bodies in senders:
        assert [record.body for record in tail.records if record.body in set(bodies)] == bodies


def numbered(name: str, count: int) -> list[bytes]:
    return [f"{name} {number}".encode() for number in range(count)]


async def read_when_available(member: LogMember, room: RoomLog) -> Tail:
    """Read a log, again while a cut of its link is not noticed yet."""
    while True:
        await until_available(member, room)
        try:
            return await member.log.read(room)
        except BusUnavailable:
            assert not member.log.is_available(room)


async def until_available(member: LogMember, room: RoomLog) -> None:
    await wait_until(lambda: member.log.is_available(room), 20)


async def test_scripts_that_are_flushed_lose_double_and_reorder_nothing(redis: RedisProcess) -> None:
    async with members(redis.url, 3) as (a, b, listener):
        room = a.room("1", size=5000)
        await listener.listen(room)
        of_a, of_b = numbered("a", 800), numbered("b", 800)
        sending = asyncio.gather(send_all(a, room, of_a), send_all(b, room, of_b))
        flushes = 0
        while not sending.done():
            await asyncio.to_thread(redis.command, "SCRIPT", "FLUSH")
            flushes += 1
        await sending
        assert flushes > 10
        await require_once_and_in_order(listener, room, of_a, of_b)
        await wait_until(lambda: len(listener.heard(room)) == 1600, 10)
        assert listener.heard(room) == [record.body for record in (await a.log.read(room)).records]


async def test_reads_go_on_when_scripts_are_flushed(redis: RedisProcess) -> None:
    async with members(redis.url) as (member,):
        room = member.room("1")
        (position,) = await member.append(room, b"1")
        redis.command("SCRIPT", "FLUSH")
        assert await member.bodies(room) == [b"1"]
        redis.command("SCRIPT", "FLUSH")
        assert await member.log.last_positions([room]) == [position]


async def test_a_redis_without_memory_refuses_and_keeps_nothing_by_halves(redis: RedisProcess) -> None:
    async with members(redis.url) as (member,):
        room, new = member.room("1"), member.room("2")
        await member.append(room, b"1")
        redis.command("CONFIG", "SET", "maxmemory", "1")
        for append in (
            member.append(room, member.message(b"2", "id"), b"3"),
            member.append(room, b"4", new_epoch=True),
            member.append(room, new_epoch=True),
            member.append(new, b"5"),
        ):
            with pytest.raises(AppendFailed) as failed:
                await append
            assert failed.value.failure is AppendFailure.REFUSED
            assert "OOM" in failed.value.text
        keys = set(redis.command("KEYS", "cw:*"))
        redis.command("CONFIG", "SET", "maxmemory", "0")
        assert keys == {"cw:m{4:test1}", "cw:l{4:test1}"}
        assert [record.offset for record in (await member.log.read(room)).records] == [1]
        (position,) = await member.append(room, member.message(b"6", "id"))
        assert position.offset == 2
        assert await member.bodies(room) == [b"1", b"6"]


async def test_messages_behind_a_refused_one_are_refused_too(redis: RedisProcess) -> None:
    async with members(redis.url) as (member,):
        room = member.room("1")
        await member.append(room, b"1")
        redis.command("CONFIG", "SET", "maxmemory", "1")
        message = member.message(b"2")
        refused = member.begin(room, message)
        await asyncio.wait([refused])
        redis.command("CONFIG", "SET", "maxmemory", "0")
        with pytest.raises(AppendFailed) as failed:
            await member.append(room, b"3", previous=message.number)
        assert failed.value.failure is AppendFailure.REFUSED
        assert isinstance(refused.exception(), AppendFailed)
        assert await member.bodies(room) == [b"1"]


async def test_a_redis_that_lost_everything_begins_a_new_epoch(redis: RedisProcess) -> None:
    async with members(redis.url) as (member,):
        room = member.room("1")
        (before,) = await member.append(room, b"1")
        redis.kill()
        await wait_until(lambda: not member.log.is_available(room), 20)
        assert member.log.holder(room) == member.recorded.holders[-1]
        redis.restart()
        await until_available(member, room)
        (after,) = await member.append(room, b"2")
        assert after.epoch != before.epoch
        assert await member.bodies(room) == [b"2"]


async def test_a_redis_that_starts_from_an_older_dump_begins_a_new_epoch(redis: RedisProcess) -> None:
    async with members(redis.url, 2) as (a, b):
        room, read_first, untouched = a.room("1"), a.room("2"), a.room("3")
        for log in (room, read_first, untouched):
            await a.append(log, b"1", b"2")
        redis.command("SAVE")
        lost = [(await a.append(log, b"3"))[0] for log in (room, read_first, untouched)]
        redis.kill()
        await wait_until(lambda: not a.log.is_available(room) and not b.log.is_available(room), 20)
        redis.restart()
        for member in (a, b):
            await until_available(member, room)
        assert redis.command("EXISTS", "cw:m{4:test1}"), "the dump was not loaded"
        assert await b.log.last_positions([untouched]) == [None]
        (appended,) = await a.append(room, b"3'")
        tail = await b.log.read(read_first)
        assert appended.offset == 1
        assert (tail.last.offset, list(tail.records)) == (0, [])
        assert {appended.epoch, tail.last.epoch}.isdisjoint(position.epoch for position in lost)


async def test_a_replica_that_is_promoted_begins_a_new_epoch(redis: RedisProcess, other: RedisProcess) -> None:
    await until_in_step(other, redis)
    async with members(redis.url) as (member,):
        room = member.room("1")
        (before,) = await member.append(room, b"1")
        await wait_until(lambda: other.command("EXISTS", "cw:l{4:test1}"), 20)
    other.command("REPLICAOF", "NO", "ONE")
    async with members(other.url) as (member,):
        assert await member.log.last_positions([room]) == [None]
        (after,) = await member.append(room, b"2")
        assert after.epoch != before.epoch
        assert after.offset == 1


async def test_a_master_that_took_over_the_data_of_another_one_begins_a_new_epoch(
    redis: RedisProcess, other: RedisProcess
) -> None:
    """The same process with the same connections; the other one had fewer messages."""
    await until_in_step(other, redis)
    async with members(redis.url) as (member,):
        room = member.room("1")
        await member.append(room, b"1")
        await wait_until(lambda: other.command("EXISTS", "cw:l{4:test1}"), 20)
        other.command("REPLICAOF", "NO", "ONE")
        (lost,) = await member.append(room, b"2")
        await until_in_step(redis, other)
        await wait_until(lambda: not member.log.is_available(room), 20)
        redis.command("REPLICAOF", "NO", "ONE")
        assert redis.command("XLEN", "cw:l{4:test1}") == 1, "it has not taken over the data"
        await until_available(member, room)
        (after,) = await member.append(room, b"2'")
        assert after.epoch != lost.epoch


async def test_a_node_that_missed_a_change_of_the_run_does_not_end_the_epoch_of_the_others(redis: RedisProcess) -> None:
    async with members(redis.url, 2) as (a, b):
        room = a.room("1")
        (position,) = await a.append(room, b"1")
        holder = b.log._holder(room)  # type: ignore[attr-defined]
        holder.commands.use_run(b"an earlier one")
        assert (await b.append(room, b"2"))[0] == LogPosition(position.epoch, 2)
        holder.commands.use_run(b"an earlier one")
        assert await b.bodies(room) == [b"1", b"2"]


async def test_a_redis_that_hangs_is_noticed_and_nothing_is_lost_or_doubled(redis: RedisProcess) -> None:
    async with members(redis.url, 2) as (a, b):
        room = a.room("1", size=5000)
        of_a, of_b = numbered("a", 200), numbered("b", 200)
        sending = asyncio.gather(send_all(a, room, of_a), send_all(b, room, of_b))
        await wait_until(lambda: a.recorded.holders)
        redis.pause()
        await wait_until(lambda: not a.log.is_available(room), 20)
        redis.resume()
        await sending
        await require_once_and_in_order(a, room, of_a, of_b)


async def test_a_redis_that_pauses_its_clients_loses_and_doubles_nothing(redis: RedisProcess) -> None:
    async with members(redis.url, 2) as (a, b):
        room = a.room("1", size=5000)
        of_a, of_b = numbered("a", 200), numbered("b", 200)
        redis.command("CLIENT", "PAUSE", "1200", "WRITE")  # longer than a heartbeat may take
        await asyncio.gather(send_all(a, room, of_a), send_all(b, room, of_b))
        await require_once_and_in_order(a, room, of_a, of_b)


async def test_a_link_that_is_cut_again_and_again_loses_doubles_and_reorders_nothing(redis: RedisProcess) -> None:
    async with TcpProxy("127.0.0.1", redis.port) as proxy, members(f"redis://127.0.0.1:{proxy.port}", 2) as (a, b):
        room = a.room("1", size=5000)
        of_a, of_b = numbered("a", 300), numbered("b", 300)
        sending = asyncio.gather(send_all(a, room, of_a), send_all(b, room, of_b))
        for _ in range(4):
            known = len(a.recorded.holders)
            await asyncio.sleep(0.01)  # let some messages pass
            proxy.cut()
            await wait_until(lambda known=known: len(a.recorded.holders) >= known + 2 or sending.done(), 20)  # type: ignore[misc]
        await sending
        await require_once_and_in_order(a, room, of_a, of_b)


async def test_messages_on_their_way_fail_when_the_link_is_lost(redis: RedisProcess) -> None:
    async with members(redis.url) as (member,):
        room = member.room("1")
        await member.append(room, b"1")
        redis.pause()
        waiting = [member.begin(room, NewMessage(100 + number, b"x")) for number in range(3)]
        reading = asyncio.ensure_future(asyncio.gather(member.log.read(room), return_exceptions=True))
        await wait_until(lambda: not member.log.is_available(room), 20)
        for each in waiting:
            failure = each.exception()
            assert isinstance(failure, AppendFailed)
            assert failure.failure is AppendFailure.LOST
        assert [type(each).__name__ for each in await reading] == ["BusUnavailable"]
        redis.resume()


async def until_in_step(replica: RedisProcess, master: RedisProcess) -> None:
    """Make a server the replica of another one, and wait until it has its data."""
    replica.command("REPLICAOF", "127.0.0.1", master.port)
    await wait_until(lambda: "master_link_status:up" in replica.command("INFO", "replication"), 30)
