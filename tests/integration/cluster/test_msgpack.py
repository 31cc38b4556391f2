from __future__ import annotations

import asyncio
from typing import Any

from crosswire import Node
from crosswire.cluster.interface import Bus
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.original import compat_bus
from tests.integration.cluster.support import client, make_server, received, running, running_servers
from tests.support.aio import wait_until

MSGPACK = {"Sec-WebSocket-Protocol": "crosswire.msgpack"}
DATA: dict[str, Any] = {"text": "é 漢", "n": [1, -2.5, None, True]}


async def test_clients_of_both_kinds_get_a_message_from_another_node(bus: Bus) -> None:
    worker = Node("worker", bus=bus)
    async with (
        running_servers(bus, "a", "b") as (a, b),
        running(worker),
        client(a, "0") as near,
        client(b, "1") as text,
        client(b, "2", MSGPACK) as binary,
    ):
        for peer in (text, binary):
            await peer.call("join", ["chat", "r"])
        await wait_until(lambda: all(part.nodes["b"].connections == 2 for part in (a.cluster, worker)))
        for sender in (a, worker, b):
            sender.user("2").send("x", DATA)
            sender.users(["1", "2"]).send("y", DATA)
            sender.room("chat", "r").send("z", DATA)
            sender.everyone.send("end")
            assert await received(binary) == [("x", DATA), ("y", DATA), ("z", DATA)]
            assert await received(text) == [("y", DATA), ("z", DATA)]
            assert await received(near) == []


async def test_the_first_such_client_is_served_before_other_nodes_know_of_it(bus: Bus) -> None:
    async with running_servers(bus, "a", "b") as (a, b):
        for _ in range(5):
            async with client(b, "2", MSGPACK) as binary:
                a.user("2").send("x", DATA)
                assert (await binary.receive()).data == DATA


async def test_such_clients_are_called_from_other_nodes(bus: Bus) -> None:
    async with running_servers(bus, "a", "b") as (a, b), client(b, "2", MSGPACK) as binary:
        asking = asyncio.create_task(a.user("2").gather("ask", {"blob": b"\xff"}))
        call = await binary.receive("ask")
        assert call.data == {"blob": "/w=="}
        binary.answer(call, DATA)
        assert dict(await asking) == {"2": DATA}


async def test_bytes_mean_the_same_to_a_client_wherever_it_is_connected(bus: Bus) -> None:
    async with (
        running_servers(bus, "a", "b") as (a, b),
        client(a, "1", MSGPACK) as near,
        client(b, "2", MSGPACK) as far,
    ):
        await wait_until(lambda: a.cluster.nodes["b"].connections == 1)
        a.everyone.send("x", {"blob": b"\xff"})
        assert (await near.receive()).data == (await far.receive()).data == {"blob": "/w=="}


async def test_such_clients_get_what_originals_send(redis_process: RedisProcess) -> None:
    bus = compat_bus(redis_process, "json")
    server = make_server("b", bus)
    async with running(server), client(server, "2", MSGPACK) as binary:
        body = b'{"data":"{\\"event\\":\\"x\\",\\"payload\\":{\\"n\\":[1,null]}}","senderServer":"original"}'
        redis_process.command("PUBLISH", "ws:broadcast", body)
        received = await binary.receive()
        assert (received.event, received.data) == ("x", {"n": [1, None]})
