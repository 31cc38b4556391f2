"""The status of all nodes: their clients, messages and Redis."""

from __future__ import annotations

import asyncio

import pytest

from crosswire import Node, NodeStatus, NotConnected, Redis
from crosswire.cluster.interface import Bus
from tests.integration.cluster.scripted_node import scripted_node
from tests.integration.cluster.support import client, clients, make_server, received, running, running_servers
from tests.support.aio import wait_until


async def test_every_node_tells_its_status_to_all(bus: Bus) -> None:
    worker = Node("worker", bus=bus)
    async with running_servers(bus, "a", "b") as (a, b), running(worker), clients({"1": a, "2": b, "3": b}) as peers:
        await wait_until(lambda: len(a.cluster.nodes) == len(b.cluster.nodes) == 3)
        await peers["2"].call("join", ["chat", "x"])
        await peers["3"].call("join", ["chat", "x"])
        await peers["3"].call("join", ["chat", "y"])
        for node in (a.cluster, b.cluster, worker):
            status = await node.status()
            assert status.complete
            assert {name: (each.connections, each.users, each.rooms) for name, each in status.items()} == {
                "a": (1, 1, 0),
                "b": (2, 2, 2),
                "worker": (0, 0, 0),
            }
            assert {name: each.incarnation for name, each in status.items()} == {
                "a": a.cluster.incarnation,
                "b": b.cluster.incarnation,
                "worker": worker.incarnation,
            }
            assert all(0 < each.uptime < 60 for each in status.values())
            assert all((each.gaps, each.dropped, each.refused) == (0, 0, 0) for each in status.values())
            for each in status.values():
                assert [link.healthy for link in each.redis] == ([True] if isinstance(bus, Redis) else [])


async def test_messages_in_and_out_are_counted_for_each_connection() -> None:
    server = make_server("a", None)

    async def counts() -> tuple[int, int]:
        status: NodeStatus = (await server.cluster.status())["a"]
        return status.received, status.sent

    async with running(server), client(server, "1") as one, client(server, "2") as two:
        assert await counts() == (2, 2)  # "hello", and its answer, of each
        server.everyone.send("news")
        server.everyone.send("news", exclude=["2"])
        server.users(["1", "2", "nobody"]).send("news")
        server.user("2").send("news")
        server.user("nobody").send("news")
        server.everyone.send("end")
        assert (len(await received(one)), len(await received(two))) == (3, 3)
        assert await counts() == (2, 2 + 2 + 1 + 2 + 1 + 2)
        one.send("unheard of")
        await one.call("hello")
        assert await counts() == (4, 11)

        asking = asyncio.create_task(server.user("2").gather("ask"))
        two.answer(await two.receive("ask"), 5)
        assert await asking == {"2": 5}
        assert await counts() == (5, 12)


async def test_a_node_that_does_not_answer_is_missing(bus: Bus) -> None:
    async with scripted_node(bus) as scripted, Node("a", bus=bus) as a:
        scripted.native.announce(scripted.beat_of())
        await wait_until(lambda: "scripted" in a.nodes)
        asking = asyncio.create_task(a.status())
        await wait_until(lambda: scripted.requests)
        scripted.say_goodbye()
        status = await asking
        assert (list(status), status.missing) == (["a"], ("scripted",))


async def test_a_status_can_be_asked_for_while_a_node_starts(bus: Bus) -> None:
    release = asyncio.Event()
    b = Node("b", bus=bus)
    b.on_start(release.wait)
    async with Node("a", bus=bus) as a:
        starting = asyncio.create_task(b.start())
        await wait_until(lambda: "b" in a.nodes)
        assert set(await a.status()) == {"a", "b"}
        release.set()
        await starting
        await b.stop()


async def test_a_node_that_does_not_run_has_no_status() -> None:
    with pytest.raises(NotConnected):
        await Node("a").status()
