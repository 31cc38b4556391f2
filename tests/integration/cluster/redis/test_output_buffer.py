"""A node whose loop is held is dropped by its Redis, as too much waits for it: every gap is told, and soon."""

from __future__ import annotations

import asyncio
import threading
import time

from crosswire import GapInfo, Node, Redis
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.support import MAX_STANDSTILL, RecordingHandler, running_nodes
from tests.support.aio import wait_until

HELD_FOR = 3.0
"""Seconds for which the event loop of the node is held at least."""
ENOUGH = 150
"""Events, 10 MB together, that are more than Redis and the kernel keep for a subscriber that does not read."""
TOLD_WITHIN = 2.0
"""Seconds in which the node tells of the gap."""


async def test_a_subscriber_that_redis_drops_tells_of_the_gap_within_two_seconds() -> None:
    with RedisProcess(config={"client-output-buffer-limit": "pubsub 1mb 256kb 5"}) as redis:
        async with running_nodes(Redis(redis.url, buffer=64 * 1024 * 1024), "a") as (a,):
            gaps: list[GapInfo] = []
            heard = RecordingHandler()
            a.on_gap(gaps.append)
            a.on("big", heard)
            a.on("last", heard)
            done = threading.Event()
            sender = asyncio.create_task(asyncio.to_thread(_send_for_a_while, redis.url, "a", done))
            await wait_until(lambda: heard.calls)
            assert done.wait(40)  # the loop is held, as by a handler that should not
            woke = time.monotonic()
            sent = await sender
            await wait_until(lambda: gaps and a.redis.status()[0].healthy, 10)
            told = time.monotonic() - woke
            assert len(heard.calls) < sent
            assert told < TOLD_WITHIN + MAX_STANDSTILL
            last = gaps[-1]
            assert last.until - last.since > 0
            assert a.gaps == len(gaps)


def _send_for_a_while(url: str, name: str, done: threading.Event) -> int:
    """Send events from another thread and event loop, while the other node's loop is held; return how many."""

    async def send() -> int:
        sent = 0
        async with Node("sender", bus=Redis(url, buffer=64 * 1024 * 1024)) as node:
            ends = time.monotonic() + HELD_FOR
            while time.monotonic() < ends or sent < ENOUGH:
                node.send("big", "x" * 65_536, to=name)
                sent += 1
                await asyncio.sleep(0.01)
            done.set()
            return sent

    return asyncio.run(send())
