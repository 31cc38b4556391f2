"""A cluster on a bus that sends messages twice and in another order, and can't count who listens."""

from __future__ import annotations

import asyncio

import pytest

from crosswire import ConfigError, Node
from crosswire.testing import connect
from crosswire.types import GapInfo
from tests.integration.cluster.support import (
    RecordingHandler,
    client,
    connection_of,
    make_server,
    running,
    running_nodes,
)
from tests.support.aio import wait_until
from tests.support.tcp_bus import tcp_bus

REPLACED = 4012


async def test_a_newcomer_does_not_take_the_name_of_a_living_node() -> None:
    async with tcp_bus() as (bus, _), running_nodes(bus, "holder", "watcher") as (holder, watcher):
        with pytest.raises(ConfigError, match="holder"):
            await Node("holder", bus=bus).start()
        assert holder.running
        assert watcher.nodes["holder"].incarnation == holder.incarnation


async def test_the_name_of_a_node_that_is_gone_is_free() -> None:
    async with tcp_bus() as (bus, _), running_nodes(bus, "watcher"):
        for _ in range(2):
            async with Node("again", bus=bus):
                pass


async def test_calls_are_answered_once_and_messages_come_in_order() -> None:
    async with tcp_bus() as (bus, _), running_nodes(bus, "a", "b") as (a, b):
        heard = RecordingHandler(answer="yes")
        b.on("x", heard)
        for number in range(100):
            a.send("x", number, to="b")
            if number % 10 == 0:
                await asyncio.sleep(0)
        assert await a.call("b", "x", 100) == "yes"
        assert [data for _, data in heard.calls] == list(range(101))


async def test_the_older_connection_of_a_user_keeps_a_newer_one_out() -> None:
    async with tcp_bus() as (bus, _):
        a, b = (make_server(name, bus, duplicates="refuse") for name in "ab")
        async with running(a, b), client(a, "1"):
            async with connect(b, "/?id=1") as newer:
                assert (await newer.closed()).code == REPLACED
            assert (a.socket_of("1") is not None, b.socket_of("1")) == (True, None)


async def test_a_gap_names_the_room_or_the_user_whose_message_is_missing() -> None:
    async with tcp_bus() as (bus, broker):
        a, b = make_server("a", bus), make_server("b", bus)
        gaps: list[GapInfo] = []
        b.cluster.on_gap(gaps.append)
        async with running(a, b), client(b, "1") as peer:
            await peer.call("join", ["chat", "7"])
            for audience, channel in ((a.room("chat", "7"), b"tcp.r:4:chat7"), (a.user("1"), b"tcp.u:1")):
                audience.send("before")
                assert (await peer.receive()).event == "before"
                broker.loses.add(channel)
                audience.send("lost")
                await wait_until(lambda: not broker.loses)
                audience.send("after")
                assert (await peer.receive()).event == "after"
        assert [gap[3:] for gap in gaps] == [
            ("tcp.r:4:chat7", None, ("chat", "7")),
            ("tcp.u:1", "1", None),
        ]


async def test_what_is_sent_while_the_bus_is_away_arrives_when_it_is_back() -> None:
    async with tcp_bus() as (bus, broker), running_nodes(bus, "a", "b") as (a, b):
        heard, gaps = RecordingHandler(), list[GapInfo]()
        b.on("x", heard)
        a.on_gap(gaps.append)
        broker.disconnect(b"tcp.n:a")
        await wait_until(lambda: not connection_of(a).port.available)
        for number in range(10):
            a.send("x", number, to="b")
        await wait_until(lambda: [data for _, data in heard.calls] == list(range(10)))
        await wait_until(lambda: [gap.url for gap in gaps] == ["tcp"])
