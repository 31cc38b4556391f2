"""Detection of a Redis that dies, hangs, comes back or can't be heard, within its time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import cycle

import pytest

from crosswire.cluster.redis.options import Redis
from crosswire.errors import ConfigError
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.testing.proxy import TcpProxy
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.redis.support import RedisMember, Stopwatch, started_members
from tests.support.aio import wait_until


def id_of(redis: RedisProcess) -> str:
    return f"127.0.0.1:{redis.port}"


def both_ways(redis: RedisProcess, proxy: TcpProxy) -> AbstractAsyncContextManager[list[RedisMember]]:
    """Start two ports: one on the Redis itself, one on the proxy in front of it."""
    return started_members([Redis(redis.url), Redis(f"redis://127.0.0.1:{proxy.port}")])


async def test_a_redis_that_hangs_is_unhealthy_within_1_5_seconds_and_back_within_2(
    redis: RedisProcess, other: RedisProcess
) -> None:
    async with started_members(Redis([redis.url, other.url])) as (a,):
        assert set(a.port.paths) == {id_of(redis), id_of(other)}
        a.events.clear()
        redis.pause()
        watch = Stopwatch()
        await wait_until(lambda: a.port.paths == (id_of(other),))
        assert watch.awake < 1.5
        await wait_until(lambda: len(a.statuses) == 1)
        assert a.events[:2] == [("path lost", id_of(redis)), ("paths changed", (id_of(other),))]
        (lost,) = a.statuses
        assert (lost.healthy, lost.publisher, lost.subscriber) == (False, False, False)
        assert "does not answer" in str(lost.last_error)
        assert a.port.available
        redis.resume()
        watch = Stopwatch()
        await wait_until(lambda: len(a.port.paths) == 2)
        assert watch.awake < 2
        (gap,) = a.gaps
        assert gap.url == redis.url
        assert gap.until - gap.since > 0.5
        assert a.times("restored") == 0


async def test_a_killed_redis_is_unhealthy_at_once_and_back_within_2_seconds(
    redis: RedisProcess, other: RedisProcess
) -> None:
    async with started_members(Redis([redis.url, other.url]), 5) as members:
        redis.kill()
        watch = Stopwatch()
        await wait_until(lambda: all(member.port.paths == (id_of(other),) for member in members))
        assert watch.awake < 0.3
        redis.restart()
        watch = Stopwatch()
        await wait_until(lambda: all(len(member.port.paths) == 2 for member in members))
        assert watch.awake < 2


async def test_an_outage_of_the_only_redis_is_reported_and_its_end(redis: RedisProcess) -> None:
    async with started_members(Redis(redis.url)) as (a,):
        assert a.times("restored") == 0
        for times in (1, 2):
            redis.kill()
            await wait_until(lambda: not a.port.available)
            assert a.port.paths == ()
            redis.restart()
            await wait_until(lambda: a.port.available)
            assert a.times("restored") == times
            assert a.port.gaps == times


async def test_a_subscriber_that_receives_nothing_is_replaced_within_3_seconds(redis: RedisProcess) -> None:
    async with TcpProxy("127.0.0.1", redis.port) as proxy, both_ways(redis, proxy) as (a, b):
        await b.listen()
        proxy.blackhole(next(link for link in proxy.links if b"SUBSCRIBE" in link.first_bytes))
        watch = Stopwatch()
        await wait_until(lambda: b.gaps)
        assert watch.awake < 3
        assert "does not come back" in str(b.redis.status()[0].last_error)
        assert all(status.publisher for status in b.statuses)
        assert b.times("path lost") == 0
        a.port.publish(b"cw:test", b"x")
        await b.receives(b"x")


@pytest.mark.parametrize(("up", "down"), [(True, False), (False, True), (True, True)])
async def test_a_publisher_without_replies_is_replaced(redis: RedisProcess, up: bool, down: bool) -> None:
    async with TcpProxy("127.0.0.1", redis.port) as proxy, both_ways(redis, proxy) as (a, b):
        await a.listen()
        proxy.blackhole(next(link for link in proxy.links if b":pub" in link.first_bytes), up=up, down=down)
        for number in range(100):
            b.port.publish(b"cw:test", b"%d" % number)
        watch = Stopwatch()
        await wait_until(lambda: any(not status.healthy for status in b.statuses))
        assert watch.awake < 1.5
        await wait_until(lambda: b.port.available)
        b.port.publish(b"cw:test", b"100")
        await wait_until(lambda: len(a.received) == 101)
        assert a.numbers() == list(range(101))


async def test_losing_only_the_publisher_is_no_gap(redis: RedisProcess) -> None:
    async with started_members(Redis(redis.url), 2) as (a, b):
        await b.listen()
        redis.command("CLIENT", "KILL", "TYPE", "normal")
        for number in range(100):
            a.port.publish(b"cw:test", b"%d" % number)
            await asyncio.sleep(0)
        await wait_until(lambda: a.times("restored") == b.times("restored") == 1)
        await b.receives(*[b"%d" % number for number in range(100)])
        assert a.gaps == b.gaps == []
        assert b.times("path lost") == 1


async def test_a_redis_behind_a_slow_network_is_healthy_and_its_latency_known(redis: RedisProcess) -> None:
    async with TcpProxy("127.0.0.1", redis.port) as proxy:
        proxy.delay(0.1)
        async with started_members(Redis(f"redis://127.0.0.1:{proxy.port}", ping_interval=0.05)) as (a,):
            await wait_until(lambda: a.healthy == [True] and 90 < (a.redis.status()[0].latency or 0) < 500)


async def test_a_standstill_of_the_process_does_not_make_a_redis_unhealthy(redis: RedisProcess) -> None:
    async with started_members(Redis(redis.url, ping_interval=0.05, ping_timeout=0.2), 2) as (a, b):
        await b.listen()
        for _ in range(3):
            time.sleep(0.4)  # noqa: ASYNC251 - it stands still
            await asyncio.sleep(0.07)
        for member in (a, b):
            assert member.healthy == [True]
            assert member.times("path lost") == 0
            assert member.gaps == []


async def test_a_burst_does_not_make_a_redis_unhealthy(redis: RedisProcess) -> None:
    redis.command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0")  # or it would cut off who reads slowly

    options = Redis(redis.url, ping_interval=0.05, ping_timeout=0.3, buffer=256 * 1024 * 1024)
    async with started_members(options, 2) as (a, b):
        await b.listen()
        for _ in range(2):
            for _ in range(3000):
                a.port.publish(b"cw:test", b"x" * 20_000)
            await asyncio.sleep(0)
        await wait_until(lambda: len(b.received) == 6000, timeout=15)
        for member in (a, b):
            assert member.times("path lost") == 0
            assert member.gaps == []


async def test_a_host_name_of_several_independent_redis_is_unusable(redis: RedisProcess, other: RedisProcess) -> None:
    """Independent Redis do not pass on each other's messages, though both connections are busy."""
    ports, links = cycle([redis.port, other.port]), BackgroundTasks()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        forth, back = await asyncio.open_connection("127.0.0.1", next(ports))
        await asyncio.gather(hand_on(reader, back), hand_on(forth, writer))

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        links.start(connect(reader, writer), "link")

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    options = Redis(f"redis://127.0.0.1:{port}", ping_interval=0.05, ping_timeout=0.1)
    async with server, started_members([Redis(other.url), options]) as (a, b):
        b.subscribe()
        watch = Stopwatch()
        while watch.elapsed < 1.5:
            a.port.publish(b"cw:test", b"busy")
            await asyncio.sleep(0.005)
            assert not b.port.available
        await wait_until(lambda: "does not come back" in str(b.redis.status()[0].last_error))
    await links.cancel()


async def hand_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, portion: int = 65536, pause: float = 0
) -> None:
    """Write what comes until it ends, so many bytes at once, with a pause between."""
    try:
        while data := await reader.read(portion):
            writer.write(data)
            await asyncio.sleep(pause)
    except ConnectionError:
        pass
    finally:
        writer.close()


@pytest.mark.parametrize("sizes", [[400_000], [4000] * 100], ids=["one", "many"])
async def test_a_redis_that_is_sending_much_is_healthy(redis: RedisProcess, sizes: list[int]) -> None:
    async with slowly(redis, bytes_a_second=200_000) as url:
        options = Redis(url, ping_interval=0.05, ping_timeout=0.15)
        async with started_members([Redis(redis.url), options]) as (a, b):
            await b.listen()
            for size in sizes:
                a.port.publish(b"cw:test", b"x" * size)
            await wait_until(lambda: len(b.bodies()) == len(sizes))
            assert [len(body) for body in b.bodies()] == sizes
            assert all(status.healthy for status in b.statuses)
            assert b.gaps == []


async def test_a_redis_that_hangs_is_unhealthy_in_spite_of_bytes_on_the_way(redis: RedisProcess) -> None:
    async with slowly(redis, bytes_a_second=200_000) as url:
        options = Redis(url, ping_interval=0.05, ping_timeout=0.15)
        async with started_members([Redis(redis.url), options]) as (a, b):
            await b.listen()
            a.port.publish(b"cw:test", b"x" * 100_000)
            await a.port.count_listeners(b"cw:test")  # Redis has sent it
            redis.pause()
            try:
                await wait_until(lambda: not b.port.available)
            finally:
                redis.resume()


@asynccontextmanager
async def slowly(redis: RedisProcess, *, bytes_a_second: int) -> AsyncIterator[str]:
    """Give the url of a Redis from which bytes come as over a slow line."""
    links, portion = BackgroundTasks(), bytes_a_second // 50

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        forth, back = await asyncio.open_connection("127.0.0.1", redis.port, limit=portion)
        await asyncio.gather(hand_on(reader, back), hand_on(forth, writer, portion, 1 / 50))

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        links.start(connect(reader, writer), "link")

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await links.cancel()


async def test_an_outage_is_logged_once(redis: RedisProcess, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with started_members(Redis(redis.url)) as (a,):
            redis.kill()
            await wait_until(lambda: "refused" in str(a.redis.status()[0].last_error))
            assert len(caplog.records) == 1
            assert redis.url in caplog.text


async def test_failing_callbacks_do_not_stop_the_port(
    redis: RedisProcess, other: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ConfigError("the application's")

    for name in ("paths_changed", "path_lost", "restored", "gap", "health_changed", "subscription_failed"):
        monkeypatch.setattr(RedisMember, name, fail)

    async with started_members(Redis([redis.url, other.url]), 2) as (a, b):
        await b.listen()
        redis.kill()
        await wait_until(lambda: b.healthy == [False, True])
        redis.restart()
        await wait_until(lambda: a.healthy == b.healthy == [True, True])
        a.port.publish(b"cw:test", b"x")
        await b.receives(b"x")
