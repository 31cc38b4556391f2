"""An emitter over several Redis, some of which die, hang, or are not listened on."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from crosswire import BusUnavailable, Emitter, Redis
from crosswire.emitter.redis_link import ANSWER_TIMEOUT, CONNECT_TIMEOUT
from crosswire.testing import EventClient
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.support import clients, running_servers
from tests.support.aio import wait_until

ROOMS = [str(number) for number in range(10)]
MESSAGES = 20
EMITTERS = 30


@pytest.fixture
def servers() -> Iterator[list[RedisProcess]]:
    with ExitStack() as stack:
        yield [stack.enter_context(RedisProcess()) for _ in range(3)]


@pytest.fixture(scope="module")
def lasting() -> Iterator[list[RedisProcess]]:
    """Servers that no test breaks."""
    with ExitStack() as stack:
        yield [stack.enter_context(RedisProcess()) for _ in range(3)]


def bus_of(servers: list[RedisProcess], **options: Any) -> Redis:
    return Redis([server.url for server in servers], prefix=f"test-{secrets.token_hex(4)}:", **options)


async def send_all(emitter: Emitter, start: int = 0) -> None:
    """Send messages to all rooms, in a thread: servers must not stand still meanwhile."""

    def work() -> None:
        for number in range(start, start + MESSAGES):
            for room in ROOMS:
                emitter.room("chat", room).send("x", [room, number])

    await asyncio.to_thread(work)


async def receive_all(peer: EventClient, messages: int, start: int = 0) -> None:
    """Receive all messages, and check that each comes once, and those to a room in order."""
    got = [(await peer.receive("x", timeout=20)).data for _ in range(messages * len(ROOMS))]
    for room in ROOMS:
        assert [number for where, number in got if where == room] == list(range(start, start + messages))


@pytest.mark.parametrize("delivery", ["fast", "redundant"])
@pytest.mark.parametrize("strategy", ["hash", "round-robin", "random", "fastest"])
async def test_messages_arrive_once_and_in_order(lasting: list[RedisProcess], strategy: Any, delivery: Any) -> None:
    bus = bus_of(lasting, strategy=strategy, delivery=delivery)
    async with running_servers(bus, "a", "b") as (a, b), clients({"1": a, "2": b}) as peers:
        for user in "12":
            for room in ROOMS:
                await peers[user].call("join", ["chat", room])
        with Emitter(redis=bus) as emitter:
            await send_all(emitter)
            for user in "12":
                await receive_all(peers[user], MESSAGES)
        for number in range(EMITTERS):
            with Emitter(redis=bus) as emitter:
                emitter.everyone.send("y", number)
                emitter.room("chat", "0").send("y", number)
                emitter.everyone.send("y", number)
            for peer in peers.values():  # the next one begins when these have arrived
                assert [(await peer.receive("y", timeout=20)).data for _ in range(3)] == [number] * 3
        assert [server.cluster.gaps for server in (a, b)] == [0, 0]


@pytest.mark.parametrize("delivery", ["fast", "redundant"])
@pytest.mark.parametrize("strategy", ["hash", "round-robin"])
async def test_a_redis_that_dies_loses_nothing_and_is_used_again(
    servers: list[RedisProcess], strategy: Any, delivery: Any
) -> None:
    bus = bus_of(servers, strategy=strategy, delivery=delivery)
    async with running_servers(bus, "a") as (a,), clients({"1": a}) as peers:
        for room in ROOMS:
            await peers["1"].call("join", ["chat", room])

        def all_healthy() -> bool:
            return all(status.healthy for status in a.cluster.redis.status())

        with Emitter(redis=bus) as emitter:
            await send_all(emitter)
            await receive_all(peers["1"], MESSAGES)  # "fast" may lose what a node has not read when a Redis dies
            servers[0].kill()
            await send_all(emitter, MESSAGES)
            await wait_until(lambda: not all_healthy())
            servers[0].restart()
            await send_all(emitter, 2 * MESSAGES)  # the node may not listen there yet
            await wait_until(all_healthy, 10)
            await receive_all(peers["1"], 2 * MESSAGES, MESSAGES)
            servers[1].kill()
            servers[2].kill()
            emitter._connection._publisher.links[0].retry_at = 0  # type: ignore[union-attr]
            await send_all(emitter, 3 * MESSAGES)
            await receive_all(peers["1"], MESSAGES, 3 * MESSAGES)


async def test_a_redis_that_not_all_nodes_listen_on_is_left_out(lasting: list[RedisProcess]) -> None:
    bus = bus_of(lasting)
    partly = Redis(bus.all_urls[2], prefix=bus.prefix)
    async with running_servers(partly, "a") as (a,), clients({"1": a}) as peers:
        for room in ROOMS:
            await peers["1"].call("join", ["chat", room])
        with Emitter(redis=bus) as emitter:
            await send_all(emitter)
            await receive_all(peers["1"], MESSAGES)
        assert a.cluster.gaps == 0


async def test_where_an_acl_forbids_to_ask_who_listens_messages_are_sent_all_the_same() -> None:
    rules = ["user bob on >secret ~* &* +@all -pubsub"]
    with RedisProcess(users=rules) as one, RedisProcess(users=rules) as two:
        urls = [server.url_as("bob", "secret") for server in (one, two)]
        async with running_servers(Redis([one.url, two.url]), "a") as (a,), clients({"1": a}) as peers:
            for room in ROOMS:
                await peers["1"].call("join", ["chat", room])
            with Emitter(redis=urls) as emitter:
                await send_all(emitter)
                await receive_all(peers["1"], MESSAGES)


async def test_a_redis_that_hangs_delays_a_message_and_is_left_out_then(servers: list[RedisProcess]) -> None:
    bus = bus_of(servers)
    async with running_servers(bus, "a") as (a,), clients({"1": a}) as peers:
        for room in ROOMS:
            await peers["1"].call("join", ["chat", room])
        with Emitter(redis=bus) as emitter:
            await send_all(emitter)
            servers[0].pause()
            began = time.monotonic()
            await send_all(emitter, MESSAGES)
            assert time.monotonic() - began < ANSWER_TIMEOUT + CONNECT_TIMEOUT + 3
            servers[0].resume()
            await receive_all(peers["1"], 2 * MESSAGES)


def test_if_none_can_be_reached_the_error_names_all(servers: list[RedisProcess]) -> None:
    with Emitter(redis=bus_of(servers)) as emitter:
        emitter.everyone.send("x")
        for server in servers:
            server.kill()
        for _ in range(2):
            with pytest.raises(BusUnavailable) as caught:
                emitter.everyone.send("x")
            assert all(str(server.port) in str(caught.value) for server in servers)
        servers[1].restart()
        emitter.everyone.send("x")
