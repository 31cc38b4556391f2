"""A Redis behind sentinels: found at every connect, and again after a failover."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from crosswire import Node, Redis
from crosswire.errors import ConfigError
from crosswire.testing.redis_process import RedisProcess
from crosswire.testing.reserved_port import ReservedPort
from crosswire.testing.sentinels import SentinelGroup
from tests.integration.cluster.redis.support import started_members
from tests.integration.cluster.support import client, make_server, running
from tests.support.aio import wait_until

SECRET = "s3cr3t p@ss/w?rd,1"
FAILOVER_TIMEOUT = 40.0
"""Seconds that a failover may take on a busy machine; it takes two."""


@pytest.fixture(scope="module")
def group() -> Iterator[SentinelGroup]:
    """A group whose master is never killed."""
    with SentinelGroup(replicas=0) as group:
        yield group


@pytest.fixture
def killable_group() -> Iterator[SentinelGroup]:
    """A group whose master may be killed, with passwords."""
    with SentinelGroup(password=SECRET, sentinel_password="other") as group:
        yield group
        print(group.logs)  # shown if the test fails


def with_places(group: SentinelGroup, *places: str) -> str:
    return f"redis+sentinel://{','.join(places)}/{group.service}"


def places(group: SentinelGroup) -> list[str]:
    return [f"127.0.0.1:{each.port}" for each in group.sentinels]


async def test_after_a_failover_the_new_master_is_found(
    killable_group: SentinelGroup, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        bus = Redis(killable_group.url)
        one, two, worker = make_server("one", bus), make_server("two", bus), Node("worker", redis=bus)
        async with running(one, two, worker), client(two, "1") as peer:
            await peer.call("join", ["chat", "r"])
            one.room("chat", "r").send("x", 0)
            assert (await peer.receive("x")).data == 0
            master = killable_group.master
            master.kill()
            nodes = (one.cluster, two.cluster, worker)
            await wait_until(lambda: not any(node.redis.status()[0].healthy for node in nodes))
            for number in range(1, 6):  # they wait, as while a Redis is away that comes back
                one.room("chat", "r").send("x", number)
                worker.user("1").send("y", number)
            await wait_until(lambda: all(node.redis.status()[0].healthy for node in nodes), FAILOVER_TIMEOUT)
            assert killable_group.master is not master
            assert [(await peer.receive("x")).data for _ in range(5)] == [1, 2, 3, 4, 5]
            assert [(await peer.receive("y")).data for _ in range(5)] == [1, 2, 3, 4, 5]
            (status,) = worker.redis.status()
            assert status.url == with_places(killable_group, *places(killable_group))
            assert worker.dropped == 0
            await wait_until(lambda: {"one", "two"} <= worker.nodes.keys())
            assert "s3cr3t" not in caplog.text
            assert "sentinel_password" not in caplog.text + repr(bus) + repr(status)


async def test_a_master_that_hangs_and_comes_back_as_a_replica_is_not_used(killable_group: SentinelGroup) -> None:
    async with started_members(Redis(killable_group.url), 2) as (a, b):
        await b.listen()
        master = killable_group.master
        master.pause()
        await wait_until(lambda: a.healthy == b.healthy == [False])
        await wait_until(lambda: a.healthy == b.healthy == [True], FAILOVER_TIMEOUT)
        master.resume()
        assert killable_group.master is not master
        await wait_until(lambda: is_replica(master), FAILOVER_TIMEOUT)
        await wait_until(lambda: a.healthy == b.healthy == [True])
        assert "crosswire" not in master.command("CLIENT", "LIST")
        a.port.publish(b"cw:test", b"x")
        await b.receives(b"x")


def is_replica(redis: RedisProcess) -> bool:
    """Return whether a server is a replica; one that is just becoming one resets the connection that asks."""
    try:
        return bool(redis.command("ROLE")[0] == "slave")
    except ConnectionResetError:
        return False


@pytest.fixture
def refusing_places() -> Iterator[list[str]]:
    """Addresses on which no server listens."""
    ports = [ReservedPort() for _ in range(2)]
    yield [f"127.0.0.1:{port.number}" for port in ports]
    for port in ports:
        port.close()


@pytest.mark.parametrize(("down", "up"), [(1, 1), (1, 2), (2, 1)])
async def test_sentinels_that_are_down_are_left_out(
    group: SentinelGroup, refusing_places: list[str], down: int, up: int
) -> None:
    async with started_members(Redis(with_places(group, *refusing_places[:down], *places(group)[:up]))) as (a,):
        assert a.healthy == [True]


async def test_a_sentinel_that_hangs_is_left_out(group: SentinelGroup) -> None:
    group.sentinels[0].pause()
    try:
        for order in (places(group), places(group)[:2]):  # with a majority, and without one
            async with started_members(Redis(with_places(group, *order))) as (a,):
                assert a.healthy == [True]
    finally:
        group.sentinels[0].resume()


async def test_without_any_sentinel_the_service_is_unhealthy(group: SentinelGroup, refusing_places: list[str]) -> None:
    async with started_members(Redis(with_places(group, *refusing_places))) as (a,):
        assert a.healthy == [False]
        error = str(a.redis.status()[0].last_error)
        assert "'main'" in error
        assert all(f"{place}: " in error for place in refusing_places)


async def test_an_unknown_service_is_a_configuration_error(group: SentinelGroup, refusing_places: list[str]) -> None:
    unknown = with_places(group, *places(group)).replace("/main", "/mian")
    with pytest.raises(ConfigError, match="'mian'"):
        async with started_members(Redis(unknown)):
            pass
    # If one did not answer, it may be the one that knows.
    async with started_members(Redis(unknown.replace("//", f"//{refusing_places[0]},"))) as (a,):
        assert a.healthy == [False]
        assert "does not know that service" in str(a.redis.status()[0].last_error)


async def test_sentinels_that_refuse_the_login_are_a_configuration_error(killable_group: SentinelGroup) -> None:
    for url in (killable_group.url.partition("?")[0], killable_group.url.replace("=other", "=wrong")):
        with pytest.raises(ConfigError, match=r"NOAUTH|WRONGPASS") as caught:
            async with started_members(Redis(url)):
                pass
        assert "wrong" not in str(caught.value)


async def test_a_server_that_is_not_the_master_is_not_used(group: SentinelGroup) -> None:
    """A sentinel that is cut off from the others names a former master."""

    (master,) = group.servers
    with RedisProcess(config={"replicaof": f"127.0.0.1 {master.port}"}) as replica:
        async with sentinel_that_names(replica.port) as port:
            async with started_members(Redis(with_places(group, f"127.0.0.1:{port}"))) as (a,):
                assert a.healthy == [False]
                assert "slave" in str(a.redis.status()[0].last_error)
            async with started_members(Redis(with_places(group, f"127.0.0.1:{port}", *places(group)))) as (a,):
                assert a.healthy == [True]  # most know better


@asynccontextmanager
async def sentinel_that_names(port: int) -> AsyncIterator[int]:
    """Let something name a server as the master, whoever asks; give its port."""
    answer = b"*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%d\r\n" % (len(str(port)), port)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_service_may_be_added_and_removed(group: SentinelGroup) -> None:
    with RedisProcess() as plain:
        async with started_members(Redis(plain.url), 2) as (a, b):
            url = with_places(group, *places(group))
            for member in (a, b):
                await member.redis.add(url)
                assert member.port.paths == (f"127.0.0.1:{plain.port}", "sentinel:main")
            for member in (a, b):
                await member.redis.remove(plain.url)
            await b.listen()
            a.port.publish(b"cw:test", b"x")
            await b.receives(b"x")
