"""Metrics of nodes after known traffic between them, over a real Redis."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from crosswire import EventError, Node, Redis, Server
from crosswire.cluster.bus_delay import watch_bus_delay
from crosswire.core.tallies import SECONDS, Histogram
from crosswire.integrations.prometheus import collector
from crosswire.runtime.loop_lag import watch_loop_lag
from crosswire.runtime.shared_metrics import METRICS_DIRECTORY
from crosswire.testing import connect
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.support import connection_of, running
from tests.support.aio import wait_until
from tests.support.scrapes import Scrape


class MeasuredNode:
    """A node whose metrics are collected."""

    def __init__(self, name: str, redis: Redis) -> None:
        self.node = Node(name, redis=redis)
        self._registry = CollectorRegistry()
        self._registry.register(collector(self.node))

    def scrape(self) -> Scrape:
        return Scrape(generate_latest(self._registry).decode())


async def test_calls_and_events_of_nodes_are_counted_and_timed(redis_bus: Redis) -> None:
    asking, answering = MeasuredNode("a", redis_bus), MeasuredNode("b", redis_bus)
    got: list[object] = []

    @answering.node.on("double")
    async def double(sender: str, data: int) -> int:
        return 2 * data

    @answering.node.on("refuse")
    def refuse(sender: str) -> None:
        raise EventError("mine", "no")

    answering.node.on("note", lambda _sender, data: got.append(data))
    async with running(asking.node, answering.node):
        assert await asking.node.call("b", "double", 4) == 8
        assert (await asking.node.gather("double", 4, include_self=False))["b"] == 8
        with pytest.raises(EventError, match="no"):
            await asking.node.call("b", "refuse")
        asking.node.send("note", 1)
        await wait_until(lambda: got)
        ours, theirs = asking.scrape(), answering.scrape()
    assert ours.value("crosswire_nodes", node="a") == theirs.value("crosswire_nodes", node="b") == 2
    assert ours.value("crosswire_node_call_seconds_count", event="double") == 1
    assert ours.value("crosswire_node_call_seconds_count", event="refuse") == 1
    assert ours.value("crosswire_node_gather_seconds_count", event="double") == 1
    assert theirs.value("crosswire_node_events_received_total", event="double") == 2
    assert theirs.value("crosswire_node_events_received_total", event="note") == 1
    assert theirs.value("crosswire_node_answer_seconds_count", event="double") == 2
    assert theirs.value("crosswire_node_calls_refused_total", code="other") == 1
    assert ours.value("crosswire_bus_published_total") >= 4


async def test_the_state_of_each_redis_is_shown(redis_bus: Redis, redis_process: RedisProcess) -> None:
    nowhere = "redis://127.0.0.1:1"
    measured = MeasuredNode("a", Redis([redis_process.url, nowhere], prefix=redis_bus.prefix))
    assert "crosswire_nodes" not in measured.scrape().names  # it has no cluster yet
    async with running(measured.node):
        await wait_until(lambda: measured.node.redis.status()[0].latency is not None)
        now = measured.scrape()
        urls = [status.url for status in measured.node.redis.status()]
        assert [now.value("crosswire_redis_up", url=url) for url in urls] == [1, 0]
        assert 0 < now.value("crosswire_redis_latency_seconds", url=urls[0]) < 5
        assert now.labels("crosswire_redis_latency_seconds", "url") == {urls[0]}
        assert now.value("crosswire_bus_available") == 1
        connection_of(measured.node).port.messages_dropped(None, 3)
        connection_of(measured.node).port.messages_missed([b"x"], time.monotonic() - 1)
        connection_of(measured.node).native.note_unreadable("a stranger's")
        await wait_until(lambda: measured.node.gaps)
        now = measured.scrape()
        assert now.value("crosswire_bus_dropped_total") == 3
        assert now.value("crosswire_bus_gaps_total") == 1
        assert now.value("crosswire_bus_unreadable_total") == 1


async def test_the_delay_to_other_nodes_is_half_of_a_round_trip(redis_bus: Redis) -> None:
    one, two, seconds = Node("a", redis=redis_bus), Node("b", redis=redis_bus), Histogram(SECONDS)
    async with running(one, two):
        connection = connection_of(one)
        requests, members = connection.requester, connection.members
        watching = asyncio.create_task(watch_bus_delay(requests.ping, lambda: members.names, seconds, 0.01))
        await wait_until(lambda: sum(seconds.distribution.counts) >= 3)
        watching.cancel()
        await asyncio.wait([watching])
        assert 0 < seconds.distribution.total < 5


async def test_a_handler_that_holds_the_loop_shows_in_its_lag() -> None:
    seconds = Histogram((0.001, 0.1, 1.0))
    watching = asyncio.create_task(watch_loop_lag(seconds, 0.01))
    await wait_until(lambda: sum(seconds.distribution.counts) >= 3)
    before = seconds.distribution
    time.sleep(0.15)  # noqa: ASYNC251 - as a handler should not
    await wait_until(lambda: sum(seconds.distribution.counts) > sum(before.counts))
    watching.cancel()
    await asyncio.wait([watching])
    assert seconds.distribution.total - before.total >= 0.1


async def test_processes_with_one_directory_show_the_metrics_of_all(
    redis_bus: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(METRICS_DIRECTORY, str(tmp_path))
    server, worker = Server("web", port=0, redis=redis_bus), MeasuredNode("worker", redis_bus)
    server.on("say", lambda socket: "x")
    registry = CollectorRegistry()
    registry.register(collector(server))
    async with running(server, worker.node), connect(server) as client:
        await client.call("say")
        await wait_until(lambda: worker.scrape().value("crosswire_messages_received_total", event="say"))
        for now in (worker.scrape(), Scrape(generate_latest(registry).decode())):
            assert now.value("crosswire_connections", node="web") == 1
            assert now.labels("crosswire_nodes", "node") == {"web", "worker"}
            assert now.value("crosswire_scrape_missing") == 0
    assert os.listdir(tmp_path) == []
