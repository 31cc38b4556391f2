"""Subscriptions of a real Redis, whatever happens to the subscribing connection."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosswire.cluster.redis.options import Redis
from crosswire.errors import BusUnavailable
from crosswire.testing.proxy import TcpProxy
from crosswire.testing.redis_process import RedisProcess
from crosswire.types import SubscriptionFailure
from tests.integration.cluster.redis.support import Stopwatch, started_members
from tests.support.aio import wait_until

MANY = 20_000


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        yield process


def subscribed(redis: RedisProcess) -> set[str]:
    return {channel for channel in redis.command("PUBSUB", "CHANNELS") if not channel.startswith("cw:p:")}


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcdef"), st.integers(0, 2)), max_size=60))
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_subscribing_and_unsubscribing_ends_in_the_wanted_channels(
    redis: RedisProcess, steps: list[tuple[bool, str, int]]
) -> None:
    wanted: set[str] = set()
    async with started_members(Redis(redis.url)) as (a,):
        for join, channel, turns in steps:
            if join:
                a.subscribe(channel.encode())
                wanted.add(channel)
            else:
                a.port.unsubscribe(channel.encode())
                wanted.discard(channel)
            for _ in range(turns):
                await asyncio.sleep(0)
        await a.listen(b"last")
        assert subscribed(redis) == {"last", *wanted}
        assert all(a.port.is_listening(channel.encode()) == (channel in wanted) for channel in "abcdef")


async def test_under_load_no_subscription_is_lost(redis: RedisProcess) -> None:
    wanted: set[bytes] = set()
    chosen = random.Random(7)
    async with started_members(Redis(redis.url), 2) as (a, b):
        for number in range(20_000):
            channel = b"%d" % chosen.randrange(500)
            if channel in wanted:
                wanted.discard(channel)
                b.port.unsubscribe(channel)
            else:
                wanted.add(channel)
                b.subscribe(channel)
            a.port.publish(channel, b"x")
            if number % 50 == 0:
                await asyncio.sleep(0)
        for channel in wanted:
            await b.port.wait_listening(channel)
        assert subscribed(redis) == {channel.decode() for channel in wanted}
        for number in range(500):
            a.port.publish(b"%d" % number, b"y")
        a.port.publish(min(wanted), b"end")
        await wait_until(lambda: b.bodies(min(wanted))[-1:] == [b"end"])
        assert {channel for channel, body in b.received if body == b"y"} == wanted


async def test_many_channels_are_subscribed_to_again_quickly(redis: RedisProcess) -> None:
    async with started_members(Redis(redis.url), 2) as (a, b):
        await b.listen(*[b"%d" % number for number in range(MANY)])
        redis.command("CLIENT", "KILL", "TYPE", "pubsub")
        watch = Stopwatch()
        await wait_until(lambda: a.gaps and b.gaps)
        assert watch.awake < 2
        assert len(subscribed(redis)) == MANY
        a.port.publish(b"%d" % (MANY - 1), b"x")
        await b.receives(b"x", channel=b"%d" % (MANY - 1))


async def test_losing_only_the_subscriber_is_a_gap_and_publishing_goes_on(redis: RedisProcess) -> None:
    async with started_members(Redis(redis.url), 2) as (a, b):
        await b.listen()
        b.port.publish(b"elsewhere", b"x")
        redis.command("CLIENT", "KILL", "TYPE", "pubsub")
        await wait_until(lambda: b.gaps)
        gap = b.gaps[0]
        assert gap.url == redis.url
        assert gap.since < gap.until
        assert gap.until - gap.since < 3
        assert b.port.gaps == 1
        assert b.times("path lost") == 0
        assert not any(not status.publisher for status in b.statuses)
        assert [status.healthy for status in b.statuses] == [True, False, True]
        assert b.times("restored") == 1
        a.port.publish(b"cw:test", b"x")
        await b.receives(b"x")


async def test_a_subscriber_that_reads_too_slowly_gets_a_gap() -> None:
    limits = {"client-output-buffer-limit": "pubsub 256kb 128kb 1"}

    with RedisProcess(config=limits) as redis:
        async with TcpProxy("127.0.0.1", redis.port) as proxy:
            through = Redis(f"redis://127.0.0.1:{proxy.port}", ping_timeout=20)
            async with started_members([Redis(redis.url), through]) as (a, b):
                await b.listen()
                subscriber = next(link for link in proxy.links if b"SUBSCRIBE" in link.first_bytes)
                proxy.hold(subscriber, up=False)
                for _ in range(100):
                    a.port.publish(b"cw:test", b"x" * 100_000)
                await wait_until(lambda: redis.command("PUBSUB", "NUMSUB", "cw:test")[1] == 0)
                proxy.release(subscriber)
                await wait_until(lambda: b.gaps)
                # What still comes when it listens again may show the gap before a probe has shown that all is well.
                await wait_until(lambda: b.port.is_listening(b"cw:test"))
                assert len(b.received) < 100


async def test_forbidden_channels_do_not_affect_the_others() -> None:
    with RedisProcess(users=["user bob on >pw +@all &cw:* &good:*"]) as redis:
        async with started_members(Redis(redis.url_as("bob", "pw"))) as (a,), started_members(Redis(redis.url)) as (b,):
            for channel in (b"good:1", b"bad:\xff", b"good:2"):
                a.subscribe(channel)
            await a.port.wait_listening(b"good:2")
            (failure,) = [value for _, value in a.events if isinstance(value, SubscriptionFailure)]
            assert (failure.url, failure.channel) == (redis.url, "bad:\\xff")
            assert "NOPERM" in failure.error
            with pytest.raises(BusUnavailable, match=r"bad:.*NOPERM"):
                await a.port.wait_listening(b"bad:\xff")
            assert "NOPERM" in str(a.redis.status()[0].last_error)
            assert a.healthy == [True]
            assert [a.port.is_listening(channel) for channel in (b"good:1", b"bad:\xff", b"good:2")] == [
                True,
                False,
                True,
            ]
            b.port.publish(b"good:2", b"x")
            await a.receives(b"x", channel=b"good:2")
            a.port.publish(b"bad:\xff", b"x")
            await wait_until(lambda: a.port.dropped == 1)
            redis.command("CLIENT", "KILL", "TYPE", "pubsub")
            await wait_until(lambda: a.gaps)
            await wait_until(lambda: a.port.is_listening(b"good:1") and a.port.is_listening(b"good:2"))


@pytest.mark.parametrize("auto", [True, False])
async def test_unsubscribing_may_keep_the_subscription(redis: RedisProcess, auto: bool) -> None:
    async with (
        started_members(Redis(redis.url, auto_unsubscribe=auto)) as (a,),
        started_members(Redis(redis.url)) as (b,),
    ):
        await a.listen(b"room", b"other")
        a.port.unsubscribe(b"room")
        assert not a.port.is_listening(b"room")
        await a.listen(b"another")
        assert (await b.port.count_listeners(b"room")) == (0 if auto else 1)
        b.port.publish(b"room", b"1")
        b.port.publish(b"other", b"x")
        await a.receives(b"x", channel=b"other")
        assert a.bodies(b"room") == []
        a.subscribe(b"room")
        assert a.port.is_listening(b"room") is not auto
        await a.port.wait_listening(b"room")
        b.port.publish(b"room", b"2")
        await a.receives(b"2", channel=b"room")


async def test_waiting_to_listen_does_not_outlive_the_redis(redis: RedisProcess) -> None:
    with RedisProcess() as other:
        async with started_members(Redis([redis.url, other.url])) as (a,):
            other.pause()
            a.subscribe(b"room")
            watch = Stopwatch()
            await a.port.wait_listening(b"room")
            assert watch.awake < 2
            assert a.healthy == [True, False]
            assert a.port.is_listening(b"room")
