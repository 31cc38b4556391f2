"""How long a start and a stop take, and what they find."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from crosswire.cluster.redis.options import Redis
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.redis.support import Stopwatch, started_members
from tests.support.aio import wait_until


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        yield process


@pytest.fixture(scope="module")
def other() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        yield process


async def test_one_that_can_not_be_reached_does_not_hold_up_the_start_for_long(
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


async def test_without_any_redis_a_node_starts_alone_and_says_so(
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
            assert await a.port.listeners(b"cw:test") == 0
            redis.restart()
            await wait_until(lambda: a.port.is_listening(b"cw:test"))
            assert a.times("restored") == 1


async def test_all_that_work_make_a_start_quick(redis: RedisProcess, other: RedisProcess) -> None:
    watch = Stopwatch()
    async with started_members(Redis([redis.url, other.url])) as (a,):
        assert watch.awake < 0.3
        assert a.healthy == [True, True]
        assert a.gaps == []


async def test_a_stop_does_not_wait_for_one_that_hangs(redis: RedisProcess) -> None:
    async with started_members(Redis(redis.url)) as (a,):
        redis.pause()
        a.port.publish(b"cw:test", b"x")
        watch = Stopwatch()
        await a.port.stop()
        assert watch.awake < 1
