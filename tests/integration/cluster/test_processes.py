"""Nodes in processes of their own that are killed, frozen and ended."""

from __future__ import annotations

import asyncio
import signal

import pytest

from crosswire import NodeGone, Redis
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.node_program import program
from tests.integration.cluster.support import DETECTION_TIMEOUT, running_nodes
from tests.integration.cluster.test_membership import Changes
from tests.support.aio import wait_until

START_TIMEOUT = 30.0
"""Seconds for a process to start, on a machine that has other things to do."""


async def test_a_killed_node_is_detected_and_its_successor_takes_the_name(
    redis_bus: Redis, redis_process: RedisProcess
) -> None:
    async with running_nodes(redis_bus, "a") as (a,):
        changes = Changes(a)
        loop = asyncio.get_running_loop()
        with program("b", redis_process, redis_bus) as b:
            await wait_until(lambda: changes.told == ["+b"], START_TIMEOUT)
            assert await a.call("b", "echo", 1) == ["b", 1]
            call = asyncio.create_task(a.call("b", "hang", timeout=60))
            gathering = asyncio.create_task(a.gather("hang", to="b", timeout=60))
            await a.call("b", "echo")  # the others are at work by now
            began = loop.time()
            b.signal(signal.SIGKILL)
            with pytest.raises(NodeGone):
                await call
            assert (await gathering).missing == ("b",)
            assert loop.time() - began < DETECTION_TIMEOUT
            assert changes.told == ["+b", "-b timeout"]
            changes.told.clear()
        with program("b", redis_process, redis_bus) as first:
            await wait_until(lambda: changes.told == ["+b"], START_TIMEOUT)
            first.signal(signal.SIGKILL)
            with program("b", redis_process, redis_bus):
                await wait_until(lambda: changes.told.count("+b") == 2, START_TIMEOUT)
                assert changes.told[1] in ("-b replaced", "-b timeout")
                async with asyncio.timeout(START_TIMEOUT):  # each proves that the other is alive before it counts it
                    while await a.call("b", "nodes") != ["b", "a"]:
                        pass


async def test_a_frozen_node_is_detected_and_comes_back(redis_bus: Redis, redis_process: RedisProcess) -> None:
    async with running_nodes(redis_bus, "a") as (a,):
        changes = Changes(a)
        loop = asyncio.get_running_loop()
        with program("b", redis_process, redis_bus) as b:
            await wait_until(lambda: changes.told == ["+b"], START_TIMEOUT)
            began = loop.time()
            b.freeze()
            with pytest.raises(NodeGone):
                await a.call("b", "echo", timeout=60)
            assert loop.time() - began < DETECTION_TIMEOUT
            b.signal(signal.SIGCONT)
            await wait_until(lambda: changes.told == ["+b", "-b timeout", "+b"])
            assert await a.call("b", "echo", 2) == ["b", 2]
            assert await a.call("b", "nodes") == ["b", "a"]  # it did not take us for dead


async def test_a_frozen_node_that_lost_its_name_ends_when_it_wakes_up(
    redis_bus: Redis, redis_process: RedisProcess
) -> None:
    async with running_nodes(redis_bus, "a") as (a,):
        changes = Changes(a)
        with program("b", redis_process, redis_bus) as old:
            await wait_until(lambda: changes.told == ["+b"], START_TIMEOUT)
            old.freeze()
            async with running_nodes(redis_bus, "b") as (new,):
                await wait_until(lambda: (b := a.nodes.get("b")) and b.incarnation == new.incarnation)
                new.on("echo", lambda: "new")
                old.signal(signal.SIGCONT)
                await wait_until(lambda: old.ended() is not None, 10)
                assert old.ended() not in (0, None)
                assert await a.call("b", "echo") == "new"


async def test_a_node_that_is_told_to_end_says_goodbye(redis_bus: Redis, redis_process: RedisProcess) -> None:
    async with running_nodes(redis_bus, "a") as (a,):
        changes = Changes(a)
        with program("b", redis_process, redis_bus) as b:
            await wait_until(lambda: changes.told == ["+b"], START_TIMEOUT)
            b.signal(signal.SIGTERM)
            await wait_until(lambda: changes.told == ["+b", "-b goodbye"])
            await wait_until(lambda: b.ended() == 0)
