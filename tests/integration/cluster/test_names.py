"""A name belongs to one living node, and a refused start is not announced."""

from __future__ import annotations

import asyncio

import pytest

from crosswire import ConfigError, Node
from crosswire.cluster.redis.options import Redis
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.support import running_nodes
from tests.support.aio import wait_until


async def test_others_do_not_hear_of_a_node_whose_name_is_taken(redis_bus: Redis) -> None:
    bus = redis_bus
    changes: list[str] = []
    async with running_nodes(bus, "holder", "watcher") as (_, watcher):
        watcher.on_join(lambda info: changes.append(f"+{info.name}"))
        watcher.on_leave(lambda info, reason: changes.append(f"-{info.name} {reason}"))
        with pytest.raises(ConfigError, match="holder"):
            await Node("holder", bus=bus).start()
        async with Node("other", bus=bus):
            await wait_until(lambda: changes)
        assert changes[0] == "+other"


async def test_a_node_that_started_without_redis_finds_its_name_taken_later() -> None:
    with RedisProcess() as redis:
        bus = Redis(redis.url)
        late = Node("same", bus=bus)
        redis.kill()
        await late.start()
        redis.restart()
        async with running_nodes(bus, "watcher") as (watcher,):
            changes: list[str] = []
            watcher.on_leave(lambda info, reason: changes.append(f"{info.name} {reason}"))
            await wait_until(lambda: "same" in watcher.nodes)
            first = watcher.nodes["same"]
            with pytest.raises(ConfigError):
                await Node("same", bus=bus).start()
            assert watcher.nodes["same"].incarnation == first.incarnation
            assert changes == []
        await late.stop()


async def test_one_of_two_nodes_that_start_at_once_with_one_name_stays(redis_bus: Redis) -> None:
    bus = redis_bus
    twins = [Node("twin", bus=bus) for _ in range(2)]
    results = await asyncio.gather(*(each.start() for each in twins), return_exceptions=True)
    assert [type(each) for each in results if each is not None] == [ConfigError]
    for each in twins:
        await each.stop()
