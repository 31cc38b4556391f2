"""Metrics of several workers on one port, whichever of them is asked."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

from crosswire.testing.redis_process import RedisProcess
from tests.integration.cli.clients import guests_of_all
from tests.integration.cli.program import WAIT_TIMEOUT, port_of, serving
from tests.support.scrapes import Scrape, scrape

WORKERS = {"measured-1", "measured-2"}
SCRAPES = 16
"""Number of scrapes, each over a new connection, among which each worker answers one."""


async def scraped_when(condition: Callable[[Scrape], bool], port: int) -> Scrape:
    """Scrape until a condition is met; return that scrape."""
    async with asyncio.timeout(WAIT_TIMEOUT):
        while True:
            now = await scrape(port)  # a new connection, so that it may reach another worker
            if condition(now):
                return now


def tells_of_both(now: Scrape) -> bool:
    return now.labels("crosswire_connections", "node") == WORKERS


def all_know_both(now: Scrape) -> bool:
    """Return whether each worker has written its metrics since it knows the other one."""
    return {now.value("crosswire_nodes", node=name) for name in WORKERS} == {2}


def answers(now: Scrape) -> dict[str, float]:
    """Return how many calls each worker had answered when it wrote its metrics, up to 2 s ago."""
    return {name: now.value("crosswire_messages_received_total", node=name, event="where") for name in WORKERS}


async def test_whichever_worker_is_asked_tells_the_metrics_of_all(redis: RedisProcess) -> None:
    words = ("--workers", "2", "--port", "0", "--redis", redis.url, "--prefix", "metrics:")
    with serving("app:measured", *words) as served:
        port = port_of(served)
        async with guests_of_all(port, WORKERS) as guests:
            answered = answers(await scraped_when(all_know_both, port))
            for _ in range(SCRAPES):
                await guests["measured-2"].client.call("where")
                now = await scrape(port)
                assert tells_of_both(now)
                assert all_know_both(now)
                assert now.value("crosswire_scrape_missing") == 0
                before, answered = answered, answers(now)
                assert all(answered[name] >= before[name] for name in WORKERS), "a counter went back"
            assert answered["measured-2"] > 1

            os.kill(guests["measured-1"].pid, signal.SIGKILL)
            await guests["measured-1"].closed()
            await asyncio.to_thread(served.wait_for, r"(?s)was killed by SIGKILL.* measured-1 .*: listening on ws://")
            restarted = "crosswire_connections_opened_total"
            await scraped_when(lambda now: tells_of_both(now) and now.value(restarted, node="measured-1") == 0, port)
