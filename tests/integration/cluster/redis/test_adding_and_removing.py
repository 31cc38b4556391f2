"""Adding and removing Redis while ports use them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosswire.cluster.redis.options import Redis
from crosswire.errors import BusUnavailable, ConfigError, NotConnected
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.redis.support import RedisMember, Stopwatch, started_members
from tests.support.aio import wait_until

CHANNELS = [b"cw:%d" % number for number in range(20)]


@pytest.fixture(scope="module")
def one() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        yield process


@pytest.fixture
def two() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        yield process


MAX_PROBES = 20
"""More messages on a Redis than this are not only probes."""
MESSAGES = 100
"""What ``talk`` says on one channel. How many channels a Redis has depends on its port, by the hash: at least one."""


def published(redis: RedisProcess) -> int:
    """Return how often messages were published on a Redis."""
    found = [line for line in redis.command("INFO", "commandstats").splitlines() if line.startswith("cmdstat_publish:")]
    return int(found[0].split("calls=")[1].split(",")[0]) if found else 0


async def talk(a: RedisMember, b: RedisMember, count: int = MESSAGES) -> None:
    """Publish on all channels, and see that it arrives in order."""
    b.received.clear()
    for number in range(count):
        for channel in CHANNELS:
            a.port.publish(channel, b"%d" % number)
        if number % 10 == 0:
            await asyncio.sleep(0)
    await wait_until(lambda: len(b.received) >= count * len(CHANNELS))
    for channel in CHANNELS:
        assert b.numbers(channel) == list(range(count))


async def test_an_added_redis_is_published_on_once_all_members_have_it(one: RedisProcess, two: RedisProcess) -> None:
    async with started_members(Redis(one.url, ping_interval=30), 2) as (a, b):
        await b.listen(*CHANNELS)
        a.port.use_paths(b.port.paths)
        await a.redis.add(two.url)
        assert a.redis.urls == [one.url, two.url]
        assert len(a.port.paths) == 2
        await talk(a, b)
        assert published(two) < MAX_PROBES
        await b.redis.add(two.url)
        assert all(b.port.is_listening(channel) for channel in CHANNELS)
        a.port.use_paths(b.port.paths)
        await talk(a, b)
        assert published(two) >= MESSAGES
        assert a.gaps == b.gaps == []
        assert a.times("paths changed") == 2


async def test_a_redis_may_be_added_twice_at_the_same_time(one: RedisProcess, two: RedisProcess) -> None:
    async with started_members(Redis(one.url)) as (a,):
        await asyncio.gather(*(a.redis.add(two.url) for _ in range(3)))
        await a.redis.add(two.url)
        await a.redis.add(one.url)
        assert a.redis.urls == [one.url, two.url]
        assert two.command("CLIENT", "LIST").count("crosswire:") == 2


async def test_an_unreachable_redis_is_not_added(one: RedisProcess, two: RedisProcess) -> None:
    two.pause()

    async with started_members(Redis(one.url)) as (a,):
        watch = Stopwatch()
        with pytest.raises(BusUnavailable, match="not added"):
            await a.redis.add(two.url)
        assert watch.elapsed > 2.5
        assert watch.awake < 3.5
        assert a.redis.urls == [one.url]
        assert a.times("path lost") == 0


async def test_a_redis_that_refuses_is_a_configuration_error(one: RedisProcess) -> None:
    with RedisProcess(password="right") as redis:
        async with started_members(Redis(one.url)) as (a,):
            watch = Stopwatch()
            with pytest.raises(ConfigError, match="WRONGPASS"):
                await a.redis.add(redis.url.replace("right", "s3cr3t"))
            assert watch.awake < 1
            with pytest.raises(ConfigError):
                await a.redis.add("localhost")
            assert a.redis.urls == [one.url]


async def test_adding_may_be_cancelled(one: RedisProcess, two: RedisProcess) -> None:
    two.pause()

    async with started_members(Redis(one.url)) as (a,):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(a.redis.add(two.url), 0.1)
        assert a.redis.urls == [one.url]


async def test_a_retired_redis_is_only_listened_on(one: RedisProcess, two: RedisProcess) -> None:
    async with started_members(Redis([one.url, two.url], ping_interval=30), 2) as (a, b):
        await b.listen(*CHANNELS)
        await talk(a, b)
        await a.redis.retire(two.url)
        before = published(two)
        await talk(a, b)
        a.port.announce(CHANNELS[0], b"100")
        await wait_until(lambda: b.numbers(CHANNELS[0])[-1] == 100)
        assert published(two) - before < MAX_PROBES
        b.received.clear()
        for channel in CHANNELS:
            b.port.publish(channel, b"x")
        await a.listen(*CHANNELS)
        await talk(b, a)
        assert published(two) - before >= MESSAGES
        await a.redis.add(two.url)
        before = published(two)
        await talk(a, b)
        assert published(two) - before >= MESSAGES


async def test_removing_a_redis_loses_no_message(one: RedisProcess, two: RedisProcess) -> None:
    async with started_members(Redis([one.url, two.url]), 2) as (a, b):
        await b.listen(*CHANNELS)
        for number in range(200):
            for channel in CHANNELS:
                a.port.publish(channel, b"%d" % number)
        for member in (a, b):
            await member.redis.retire(two.url)
        for member in (a, b):
            await member.redis.remove(two.url)
        await wait_until(lambda: len(b.received) == 200 * len(CHANNELS))
        for channel in CHANNELS:
            assert b.numbers(channel) == list(range(200))
        for member in (a, b):
            assert member.redis.urls == [one.url]
            assert member.port.paths == (f"127.0.0.1:{one.port}",)
            assert member.times("path lost") == 0
            assert member.gaps == []
        assert "crosswire:" not in two.command("CLIENT", "LIST")
        await talk(a, b)


async def test_removing_a_redis_that_hangs_publishes_its_messages_elsewhere(
    one: RedisProcess, two: RedisProcess
) -> None:
    async with started_members(Redis([one.url, two.url], ping_interval=30), 2) as (a, b):
        await b.listen(*CHANNELS)
        two.pause()
        for channel in CHANNELS:
            a.port.publish(channel, b"1")
        await a.redis.remove(two.url)
        await wait_until(lambda: len(b.received) == len(CHANNELS))
        assert a.port.dropped == 0


async def test_the_last_and_unknown_redis_can_not_be_removed(one: RedisProcess, two: RedisProcess) -> None:
    async with started_members(Redis([one.url, two.url])) as (a,):
        for change in (a.redis.remove, a.redis.retire):
            with pytest.raises(ConfigError, match="not in use"):
                await change("redis://elsewhere")
        await a.redis.retire(one.url)
        for change in (a.redis.remove, a.redis.retire):
            with pytest.raises(ConfigError, match="last"):
                await change(two.url)
        await a.redis.remove(one.url)
        with pytest.raises(ConfigError, match="last"):
            await a.redis.remove(two.url)
        assert a.redis.urls == [two.url]
        assert a.port.available


async def test_a_redis_may_be_removed_and_added_again(one: RedisProcess, two: RedisProcess) -> None:
    async with started_members(Redis([one.url, two.url]), 2) as (a, b):
        await b.listen(*CHANNELS)
        for _ in range(3):
            for member in (a, b):
                await member.redis.remove(two.url)
            await talk(a, b, 20)
            for member in (b, a):
                await member.redis.add(two.url)
            await talk(a, b, 20)
        assert a.gaps == b.gaps == []


async def test_removing_the_only_one_that_works_is_an_outage(one: RedisProcess, two: RedisProcess) -> None:
    async with started_members(Redis([one.url, two.url])) as (a,):
        two.kill()
        await wait_until(lambda: a.healthy == [True, False])
        await a.redis.remove(one.url)
        assert not a.port.available
        assert a.port.paths == ()
        assert a.events[-1] == ("paths changed", ())
        two.restart()
        await wait_until(lambda: a.times("restored") == 1)


async def test_a_removed_redis_may_die(one: RedisProcess, two: RedisProcess) -> None:
    async with started_members(Redis([one.url, two.url])) as (a,):
        await a.redis.remove(two.url)
        told = len(a.events)
        two.kill()
        await asyncio.sleep(0.05)
        assert len(a.events) == told


async def test_what_comes_late_over_the_last_redis_after_a_removal_is_in_order(
    one: RedisProcess, two: RedisProcess
) -> None:
    async with started_members(Redis([one.url, two.url], ping_interval=30), 2) as (a, b):
        await b.listen(*CHANNELS)
        await talk(a, b, 1)
        two.pause()
        for channel in CHANNELS:
            a.port.publish(channel, b"1")  # of some channels it waits for the paused one
        await b.redis.remove(two.url)
        removing = asyncio.create_task(a.redis.remove(two.url))
        await wait_until(lambda: a.redis._endpoints._all[id_of(two)].retired)
        for channel in CHANNELS:
            a.port.publish(channel, b"2")
        await removing  # what waited is published again
        await wait_until(lambda: len(b.received) >= 3 * len(CHANNELS))
        for channel in CHANNELS:
            assert b.numbers(channel) == [0, 1, 2]
        assert b.gaps == []


async def test_a_redis_added_again_during_its_removal_stays(one: RedisProcess, two: RedisProcess) -> None:
    async with started_members(Redis([one.url, two.url]), 2) as (a, b):
        await b.listen(*CHANNELS)
        two.pause()  # so that it takes a second until nothing waits to be acknowledged any more
        removing = asyncio.create_task(a.redis.remove(two.url))
        await wait_until(lambda: a.redis._endpoints._all[id_of(two)].retired)
        two.resume()
        await a.redis.add(two.url)
        await removing
        await a.redis.remove(one.url)
        assert [status.url for status in a.redis.status()] == [two.url]
        await talk(a, b)


async def test_a_cancelled_removal_changes_nothing(one: RedisProcess, two: RedisProcess) -> None:
    async with started_members(Redis([one.url, two.url])) as (a,):
        two.pause()
        removing = asyncio.create_task(a.redis.remove(two.url))
        await wait_until(lambda: a.redis._endpoints._all[id_of(two)].retired)
        removing.cancel()
        await asyncio.gather(removing, return_exceptions=True)
        two.resume()
        assert not a.redis._endpoints._all[id_of(two)].retired
        await wait_until(lambda: a.healthy == [True, True])


@pytest.mark.parametrize("wait", [0, 0.01, 0.1])
async def test_a_redis_added_while_the_node_stops_is_closed(one: RedisProcess, two: RedisProcess, wait: float) -> None:
    async with started_members(Redis(one.url)) as (a,):
        one.pause()  # it does not say goodbye
        try:
            stopping = asyncio.create_task(a.port.stop())
            adding = [asyncio.create_task(a.redis.add(two.url)) for _ in range(2)]
            await asyncio.sleep(wait)
            adding.append(asyncio.create_task(a.redis.add(two.url)))
            outcomes = await asyncio.gather(*adding, return_exceptions=True)
            await stopping
        finally:
            one.resume()
        assert all(isinstance(outcome, NotConnected) for outcome in outcomes), outcomes
        assert a.redis.status() == []
        assert "crosswire" not in two.command("CLIENT", "LIST")


async def test_adding_a_redis_that_does_not_answer_fails_when_the_node_stops(
    one: RedisProcess, two: RedisProcess
) -> None:
    async with started_members(Redis(one.url)) as (a,):
        two.pause()
        try:
            adding = asyncio.create_task(a.redis.add(two.url))
            await wait_until(lambda: len(a.redis.status()) == 2)
            await a.port.stop()
            with pytest.raises(BusUnavailable, match="removed"):
                await asyncio.wait_for(adding, 1)
        finally:
            two.resume()


@given(st.lists(st.tuples(st.sampled_from(["add", "remove", "cancel"]), st.booleans(), st.integers(0, 3)), max_size=12))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_overlapping_changes_leave_a_working_bus(
    one: RedisProcess, two: RedisProcess, steps: list[tuple[str, bool, int]]
) -> None:
    async with started_members(Redis(one.url)) as (a,):
        changes: list[asyncio.Task[None]] = []
        for what, first, turns in steps:
            url = one.url if first else two.url
            if what == "cancel":
                for change in changes:
                    change.cancel()
            else:
                changes.append(asyncio.ensure_future((a.redis.add if what == "add" else a.redis.remove)(url)))
            for _ in range(turns):
                await asyncio.sleep(0)
        for outcome in await asyncio.gather(*changes, return_exceptions=True):
            assert outcome is None or isinstance(outcome, ConfigError | BusUnavailable | asyncio.CancelledError), repr(
                outcome
            )
        await wait_until(lambda: a.port.available and all(a.healthy))
        assert any(not each.retired for each in a.redis._endpoints._all.values())
        await a.listen()
        assert await a.port.count_listeners(b"cw:test") == 1
    for process in (one, two):
        assert "crosswire" not in process.command("CLIENT", "LIST")


def id_of(redis: RedisProcess) -> str:
    return f"127.0.0.1:{redis.port}"
