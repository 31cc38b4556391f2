"""Messages while a Redis dies, hangs or comes back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from crosswire.cluster.interface import PortEvents
from crosswire.cluster.redis.options import Redis
from crosswire.cluster.redis.port import RedisPort
from crosswire.cluster.send_buffer import Budget
from crosswire.core.envelopes import pack_header
from crosswire.errors import BusUnavailable
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.redis.support import RedisMember, Stopwatch, started_members
from tests.support.aio import wait_until

CHANNELS = [b"cw:%d" % number for number in range(20)]
PAUSE = 0.002


@pytest.fixture
def servers() -> Iterator[list[RedisProcess]]:
    with ExitStack() as stack:
        yield [stack.enter_context(RedisProcess()) for _ in range(2)]


class WaitingRedis(Redis):
    """A bus whose ports publish only when they hear that others listen again, however late that is."""

    def attach(self, events: PortEvents, name: str, origin: bytes, budget: Budget) -> RedisPort:
        return RedisPort(self, events, name, origin, budget, return_time=60)


def urls(servers: Sequence[RedisProcess]) -> list[str]:
    return [server.url for server in servers]


async def talk(
    a: RedisMember, until: Callable[[], object], start: int = 0, *, listener: RedisMember | None = None
) -> int:
    """Publish numbers on all channels until something is so; return the next number. With a listener, do as a node
    does that hears where that one listens."""
    number = start
    deadline = asyncio.get_running_loop().time() + 10
    while not until():
        assert asyncio.get_running_loop().time() < deadline
        if listener is not None:
            a.port.use_paths(listener.port.paths)
        for channel in CHANNELS:
            a.port.publish(channel, b"%d" % number)
        number += 1
        await asyncio.sleep(PAUSE)
    return number


async def receives_all(b: RedisMember, end: int) -> None:
    """Wait until everything arrived, and see that it is everything, once and in order."""
    await wait_until(lambda: len(b.received) >= end * len(CHANNELS))
    for channel in CHANNELS:
        assert b.numbers(channel) == list(range(end))


@pytest.mark.parametrize("strategy", ["hash", "round-robin"])
@pytest.mark.parametrize("delivery", ["fast", "redundant"])
async def test_a_redis_that_hangs_causes_no_loss_duplicates_or_reordering(
    servers: list[RedisProcess], delivery: Any, strategy: Any
) -> None:
    async with started_members(Redis(urls(servers), delivery=delivery, strategy=strategy), 2) as (a, b):
        await b.listen(*CHANNELS)
        end = await talk(a, lambda: len(b.received) > 400)
        servers[0].pause()
        end = await talk(a, lambda: a.healthy == b.healthy == [False, True], end)
        end = await talk(a, lambda: len(b.received) > (end - 1) * len(CHANNELS), end)
        servers[0].resume()
        end = await talk(a, lambda: a.healthy == b.healthy == [True, True], end)
        end = await talk(a, iter([False] * 50 + [True]).__next__, end)
        await receives_all(b, end)
        assert a.port.dropped == 0
        assert (b.gaps == []) == (delivery == "redundant")


@pytest.mark.parametrize("strategy", ["hash", "round-robin", "random"])
async def test_redundant_delivery_survives_the_death_and_return_of_a_redis(
    servers: list[RedisProcess], strategy: Any
) -> None:
    async with started_members(Redis(urls(servers), delivery="redundant", strategy=strategy), 3) as (a, b, c):
        await b.listen(*CHANNELS)
        await c.listen(*CHANNELS)
        end = await talk(a, lambda: len(b.received) > 400)
        for server in servers:
            server.kill()
            end = await talk(a, lambda: not all(a.healthy), end)
            server.restart()
            end = await talk(a, lambda: all([*a.healthy, *b.healthy, *c.healthy]), end)
            # While the second is down, it is unknown whether all nodes publish on the first again.
            assert server is servers[1] or b.gaps == c.gaps == []
        await receives_all(b, end)
        await receives_all(c, end)
        assert a.port.dropped == 0


async def test_fast_delivery_keeps_the_order_and_reports_a_gap_when_a_redis_dies(
    servers: list[RedisProcess],
) -> None:
    async with started_members(Redis(urls(servers)), 2) as (a, b):
        await b.listen(*CHANNELS)
        end = await talk(a, lambda: len(b.received) > 400)
        servers[0].kill()
        end = await talk(a, lambda: a.healthy == b.healthy == [False, True], end, listener=b)
        servers[0].restart()
        end = await talk(a, lambda: a.healthy == b.healthy == [True, True], end, listener=b)
        await wait_until(lambda: all(b.numbers(channel)[-1] == end - 1 for channel in CHANNELS))
        for channel in CHANNELS:
            numbers = b.numbers(channel)
            assert numbers == sorted(set(numbers))
            assert len(numbers) > end - 20
        assert b.gaps


async def test_messages_published_during_an_outage_arrive_once_others_listen_again(
    servers: list[RedisProcess],
) -> None:
    async with started_members(WaitingRedis(servers[0].url), 2) as (a, b):
        await b.listen(*CHANNELS)
        a.port.use_paths(b.port.paths)
        servers[0].kill()
        await wait_until(lambda: not a.port.available)
        a.port.use_paths(())  # as the node does: who listened there may have lost it too
        end = await talk(a, iter([False] * 50 + [True]).__next__)
        servers[0].restart()
        await wait_until(lambda: a.port.available and b.port.available)
        end = await talk(a, iter([False] * 5 + [True]).__next__, end)
        assert b.received == []
        a.port.use_paths(b.port.paths)
        end = await talk(a, lambda: len(b.received) > 1000, end)
        await receives_all(b, end)
        assert a.port.dropped == 0


async def test_messages_of_an_outage_wait_for_listeners_for_a_limited_time(servers: list[RedisProcess]) -> None:
    async with started_members(Redis(servers[0].url), 2) as (a, b):
        await b.listen()
        servers[0].kill()
        await wait_until(lambda: not a.port.available)
        a.port.use_paths(())
        a.port.publish(b"cw:test", b"x")
        servers[0].restart()
        await b.receives(b"x")


async def test_messages_published_again_after_a_broken_connection_arrive_once(
    servers: list[RedisProcess],
) -> None:
    async with started_members(Redis(servers[0].url), 2) as (a, b):
        await b.listen(*CHANNELS)
        end = 0
        for times in range(1, 6):
            end = await talk(a, iter([False] * 20 + [True]).__next__, end)
            servers[0].command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            end = await talk(a, lambda times=times: a.times("restored") == times, end)  # type: ignore[misc]
        await receives_all(b, end)
        assert b.gaps == []


async def test_over_the_buffer_messages_are_dropped_counted_and_missed(
    servers: list[RedisProcess], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with started_members(WaitingRedis(servers[0].url, buffer=10_000), 2) as (a, b):
            await b.listen()
            a.port.publish(b"cw:test", b"0")
            await b.receives(b"0")
            servers[0].kill()
            await wait_until(lambda: not a.port.available)
            caplog.clear()
            for number in range(1, 201):
                a.port.publish(b"cw:test", b"%0100d" % number)
            assert 100 < a.port.dropped < 150
            assert len([record for record in caplog.records if "dropped" in record.message]) == 1
            a.port.use_paths(())
            servers[0].restart()
            await wait_until(lambda: b.port.is_listening(b"cw:test") and a.port.available)
            kept = 200 - a.port.dropped
            a.port.use_paths(b.port.paths)
            await wait_until(lambda: len(b.received) == kept + 1)
            gaps = len(b.gaps)
            a.port.publish(b"cw:test", b"1000")
            await wait_until(lambda: len(b.received) == kept + 2)
            assert b.numbers() == [*range(kept + 1), 1000]
            await wait_until(lambda: len(b.gaps) > gaps)
            assert b.gaps[-1].url == ""


async def test_over_the_buffer_publishing_raises_with_that_policy(servers: list[RedisProcess]) -> None:
    async with started_members(Redis(servers[0].url, buffer=10_000, overflow="raise")) as (a,):
        servers[0].kill()
        await wait_until(lambda: not a.port.available)
        for plain in (False, True):
            with pytest.raises(BusUnavailable):
                publish_much(a, plain=plain)


def publish_much(a: RedisMember, *, plain: bool) -> None:
    for _ in range(200):
        a.port.publish(b"cw:test", b"x" * 100, plain=plain)


async def test_plain_messages_under_way_are_counted_as_dropped_and_those_that_waited_arrive(
    servers: list[RedisProcess],
) -> None:
    async with started_members(WaitingRedis(servers[0].url), 2) as (a, b):
        await b.listen(plain=True)
        servers[0].pause()
        for _ in range(10):
            a.port.publish(b"cw:test", b"under way", plain=True)
        await wait_until(lambda: not a.port.available)
        assert a.port.dropped == 10
        a.port.publish(b"cw:test", b"waited", plain=True)
        servers[0].kill()
        a.port.use_paths(())
        servers[0].restart()
        await wait_until(lambda: b.port.is_listening(b"cw:test") and a.port.available)
        a.port.use_paths(b.port.paths)
        await wait_until(lambda: b"waited" in b.bodies())


async def test_announcements_are_published_on_every_redis_and_arrive_once(servers: list[RedisProcess]) -> None:
    async with started_members(Redis(urls(servers)), 2) as (a, b):
        await b.listen()
        servers[1].pause()
        a.port.announce(b"cw:test", b"1")
        a.port.announce(b"cw:test", b"2")
        await b.receives(b"1", b"2")
        servers[1].resume()
        a.port.announce(b"cw:test", b"3")
        await b.receives(b"1", b"2", b"3")
        for server in servers:
            server.kill()
        await wait_until(lambda: not a.port.available)
        a.port.announce(b"cw:test", b"lost")
        for server in servers:
            server.restart()
        await wait_until(lambda: all(a.healthy) and all(b.healthy))
        a.port.announce(b"cw:test", b"4")
        await b.receives(b"1", b"2", b"3", b"4")


async def test_a_message_that_a_redis_never_delivers_is_reported_as_missed(servers: list[RedisProcess]) -> None:
    options = Redis(urls(servers), ping_interval=0.1)
    async with started_members(options) as (a,):
        await a.listen()
        for number, previous in ((1, 0), (3, 2), (4, 3)):
            message = pack_header(b"somebody", number, previous) + b"%d" % number
            servers[number % 2].command("PUBLISH", "cw:test", message)
            await wait_until(lambda: a.numbers()[:1] == [1])
        watch = Stopwatch()
        await wait_until(lambda: a.numbers() == [1, 3, 4])
        assert watch.elapsed > 1
        assert watch.awake < 2
        (gap,) = a.gaps
        assert gap.url == ""
        assert gap.until - gap.since > 1
        servers[0].command("PUBLISH", "cw:test", "what is this?")
        await wait_until(lambda: a.port.unreadable == 1)
        assert a.port.gaps == 1
