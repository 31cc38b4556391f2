from __future__ import annotations

import asyncio
from math import inf
from typing import Any

import pytest

from crosswire import ConfigError, EventError, MemoryBus, Node, NodeGone, NotConnected, Redis, Server, UsageError
from crosswire.cluster.connection import ClusterConnection
from crosswire.cluster.interface import Bus
from crosswire.cluster.revocations import Revocations
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.support import (
    RecordingHandler,
    client,
    make_server,
    running,
    running_nodes,
    running_servers,
)
from tests.support.aio import wait_until


async def test_a_single_node_gets_its_own_requests() -> None:
    async with Node("a") as node:
        node.on("x", lambda sender, data: [sender, data])
        assert await node.call("a", "x", 1) == ["a", 1]
        assert dict(await node.gather("x", 2)) == {"a": ["a", 2]}
        assert [reply.data async for reply in node.stream("x", 3)] == [["a", 3]]
        assert await node.call("a", "x", 4, timeout=inf) == ["a", 4]
        assert await node.gather("x", 5, timeout=inf) == {"a": ["a", 5]}
        assert await node.call("a", "x", 6, timeout=1e308) == ["a", 6]
        assert list(node.nodes) == ["a"]
        with pytest.raises(NodeGone):
            await node.call("b", "x")
        heard = RecordingHandler()
        await node.subscribe("orders", heard)
        node.publish("orders", 4)
        await wait_until(lambda: heard.calls == [("a", 4)])
        node.everyone.send("x")
        assert await node.everyone.count() == 0
        assert (node.gaps, node.dropped, node.refused) == (0, 0, 0)


async def test_a_single_server_is_a_node_too() -> None:
    server = Server("a", port=0)
    server.cluster.on("x", lambda: 1)
    await server.start(listen=False)
    assert server.cluster.running
    assert await server.cluster.call("a", "x") == 1
    await server.stop()
    with pytest.raises(NotConnected):
        server.cluster.send("x")


async def test_a_missing_name_is_generated(bus: Bus) -> None:
    one, other = Node(bus=bus), Node(bus=bus)
    async with running(one, other):
        assert one.name != other.name
        assert one.nodes.keys() == {one.name, other.name}


async def test_a_node_is_started_once_and_stopped_as_often_as_one_likes(bus: Bus) -> None:
    node = Node("a", bus=bus)
    await node.stop()
    await node.start()
    assert node.running
    with pytest.raises(ConfigError, match="runs already"):
        await node.start()
    await node.stop()
    await node.stop()
    assert not node.running
    await node.start()
    with pytest.raises(UsageError):
        await node.stop(drain=-1)
    await node.stop()
    assert "not running" in repr(node)


async def test_stop_waits_for_handlers_and_cancels_those_that_take_too_long(bus: Bus) -> None:
    ended: list[str] = []
    never, stopping = asyncio.Event(), asyncio.Event()

    async def quick() -> None:
        await stopping.wait()
        ended.append("quick")

    async def slow() -> None:
        try:
            await never.wait()
        finally:
            ended.append("cancelled")

    async with running_nodes(bus, "a", "b") as (a, b):
        b.on("quick", quick)
        b.on("slow", slow)
        b.on("begun", lambda: None)
        for event in ("slow", "quick"):
            a.send(event, to="b")
        call = asyncio.create_task(a.call("b", "slow", timeout=60))
        await a.call("b", "begun")
        stop = asyncio.create_task(b.stop())
        await asyncio.sleep(0)
        assert ended == []
        stopping.set()
        await stop
        assert ended == ["quick", "cancelled", "cancelled"]
        with pytest.raises(EventError, match="HANDLER_ERROR"):  # it is not left waiting
            await call


async def test_messages_published_just_before_the_stop_arrive(bus: Bus) -> None:
    heard = RecordingHandler()
    async with running_servers(bus, "a") as (a,), client(a, "1") as peer:
        a.cluster.on("x", heard)
        for number in range(10):
            async with Node("b", bus=bus) as b:
                b.send("x", number)
                b.user("1").send("y", number)
            assert (await peer.receive("y")).data == number
        await wait_until(lambda: [data for _, data in heard.calls] == list(range(10)))


async def test_a_server_that_stops_closes_its_clients_and_they_can_come_to_another(bus: Bus) -> None:
    async with running_servers(bus, "a", "b") as (a, b):
        async with client(a, "1") as peer:
            await a.stop()
            assert (await peer.closed()).code == 1001
        async with client(b, "1") as peer:
            assert await b.everyone.count() == 1
            await wait_until(lambda: "a" not in b.cluster.nodes)


async def test_a_gap_while_a_node_leaves_leaves_no_task_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    leave = ClusterConnection.leave

    async def ask(_revocations: Revocations, _nodes: object) -> tuple[str, ...]:
        await asyncio.sleep(60)
        return ()

    async def leave_with_a_gap(connection: ClusterConnection) -> None:
        await leave(connection)
        node.revocations.exchange_with(None)

    monkeypatch.setattr(Revocations, "_ask", ask)
    monkeypatch.setattr(ClusterConnection, "leave", leave_with_a_gap)
    node = Node("a", bus=MemoryBus())
    async with node:
        pass
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_start_that_is_cancelled_leaves_nothing(bus: Bus) -> None:
    async with running_nodes(bus, "a") as (a,):
        for _ in range(10):
            node = Node("b", bus=bus)
            starting = asyncio.create_task(node.start())
            await asyncio.sleep(0)
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await node.stop()
        async with Node("b", bus=bus):
            await wait_until(lambda: "b" in a.nodes)


BAD: list[dict[str, Any]] = [
    {"redis": "redis://127.0.0.1:1", "bus": MemoryBus()},
    {"redis": "http://127.0.0.1:1"},
    {"redis": []},
    {"redis": ["redis://127.0.0.1:1", "redis://127.0.0.1:1"]},
]


@pytest.mark.parametrize("options", BAD, ids=["two buses", "another scheme", "none", "one twice"])
@pytest.mark.parametrize("kind", [Node, Server])
def test_invalid_options_are_refused_at_once(kind: type[Node] | type[Server], options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        kind("a", **options)


@pytest.mark.parametrize("name", ["", 5, b"a"])
def test_a_name_is_a_string_that_is_not_empty(name: Any) -> None:
    with pytest.raises(ConfigError, match="name="):
        Node(name)


@pytest.mark.parametrize("memory", [True, False], ids=["memory", "alone"])
async def test_a_node_without_a_redis_has_none_to_show_or_change(memory: bool) -> None:
    node = Node("a", bus=MemoryBus() if memory else None)
    async with node:
        with pytest.raises(UsageError, match="make it with redis="):
            _ = node.redis


async def test_the_redis_of_a_node_are_shown_while_it_runs() -> None:
    node = Node("a", redis="redis://127.0.0.1:1")
    with pytest.raises(NotConnected):
        node.redis.status()


async def test_clusters_with_different_prefixes_do_not_meet(redis_process: RedisProcess) -> None:
    one, other = Redis(redis_process.url, prefix="one:"), Redis(redis_process.url, prefix="other:")
    a, b = make_server("a", one), make_server("a", other)
    async with running(a), running(b), client(a, "1") as peer:
        assert list(a.cluster.nodes) == ["a"]
        b.user("1").send("x")
        b.everyone.send("x")
        a.everyone.send("end")
        assert (await peer.receive()).event == "end"


async def test_urls_may_be_given_in_any_form(redis_process: RedisProcess) -> None:
    forms: list[Any] = [redis_process.url, [redis_process.url], Redis(redis_process.url)]
    nodes = [Node(f"node {number}", redis=form) for number, form in enumerate(forms)]
    async with running(*nodes):
        assert [status.healthy for node in nodes for status in node.redis.status()] == [True] * 3
