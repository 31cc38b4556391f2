"""Time and result of a start and a stop."""

from __future__ import annotations

import logging

import pytest

from crosswire.cluster.redis.options import Redis
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.redis.support import Stopwatch, started_members
from tests.support.aio import wait_until


async def test_an_unreachable_redis_delays_the_start_for_a_limited_time(
    redis: RedisProcess, other: RedisProcess
) -> None:
    redis.kill()

    watch = Stopwatch()
    async with started_members(Redis([redis.url, other.url])) as (a,):
        assert watch.elapsed > 0.4
        assert watch.awake < 1.5
        assert a.port.available
        assert [status.healthy for status in a.redis.status()] == [False, True]
        redis.restart()
        await wait_until(lambda: a.healthy == [True, True])
        assert len(a.gaps) == 1
        assert a.times("restored") == 0


async def test_without_any_redis_a_node_starts_alone_with_a_warning(
    redis: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    redis.kill()

    with caplog.at_level(logging.WARNING):
        watch = Stopwatch()
        async with started_members(Redis(redis.url)) as (a,):
            assert watch.elapsed > 1.5
            assert watch.awake < 3
            assert not a.port.available
            assert "this node is on its own" in caplog.text
            await a.listen()
            assert await a.port.count_listeners(b"cw:test") == 0
            redis.restart()
            await wait_until(lambda: a.port.is_listening(b"cw:test"))
            assert a.times("restored") == 1


async def test_a_start_is_quick_when_every_redis_answers(redis: RedisProcess, other: RedisProcess) -> None:
    watch = Stopwatch()
    async with started_members(Redis([redis.url, other.url])) as (a,):
        assert watch.awake < 0.3
        assert a.healthy == [True, True]
        assert a.gaps == []


async def test_a_stop_does_not_wait_for_a_redis_that_hangs(redis: RedisProcess) -> None:
    async with started_members(Redis(redis.url)) as (a,):
        redis.pause()
        a.port.publish(b"cw:test", b"x")
        watch = Stopwatch()
        await a.port.stop()
        assert watch.awake < 1
