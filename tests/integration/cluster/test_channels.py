from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from crosswire import ConfigError, InvalidPayload, Node, Redis, UsageError
from crosswire.cluster.interface import Bus
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.support import RecordingHandler, make_server, running, running_nodes
from tests.support.aio import wait_until
from tests.support.record_channels import record_channels


async def test_every_subscriber_gets_a_message_and_the_publisher_too(bus: Bus) -> None:
    server = make_server("c", bus)
    a, b = Node("a", bus=bus), Node("b", bus=bus)
    async with running(a, b, server):
        heard = {name: RecordingHandler() for name in "abc"}
        for node in (a, b, server.cluster):
            assert await node.subscribe("orders", heard[node.name]) is heard[node.name]
        for node in (a, b, server.cluster):  # subscribe has returned, so messages of every node arrive
            node.publish("orders", {"by": node.name})
            await wait_until(lambda: all(len(each.calls) == 1 for each in heard.values()))
            for each in heard.values():
                assert each.calls.pop() == (node.name, {"by": node.name})


async def test_a_publisher_that_does_not_listen_hears_nothing(bus: Bus) -> None:
    async with running_nodes(bus, "a", "b") as (a, b):
        heard = RecordingHandler()
        await b.subscribe("orders", heard)
        a.publish("orders", 1)
        a.publish("other", 2)
        a.publish("orders")
        await wait_until(lambda: len(heard.calls) == 2)
        assert heard.calls == [("a", 1), ("a", None)]


async def test_several_handlers_of_a_channel_can_be_removed(bus: Bus, listened: Callable[[], dict[str, int]]) -> None:
    async with running_nodes(bus, "a", "b") as (a, b):
        first, second = RecordingHandler(), RecordingHandler()
        await b.subscribe("orders", first)
        await b.subscribe("orders", second)
        b.unsubscribe("orders", first)
        a.publish("orders", 1)
        await wait_until(lambda: second.calls)
        assert first.calls == []
        assert listened()["c:orders"] == 1
        b.unsubscribe("orders")
        b.unsubscribe("never")
        await wait_until(lambda: "c:orders" not in listened())
        await b.subscribe("orders", first)
        a.publish("orders", 2)
        await wait_until(lambda: first.calls)
        assert second.calls == [("a", 1)]


async def test_subscribing_again_during_an_unsubscribe_keeps_listening(bus: Bus) -> None:
    async with running_nodes(bus, "a", "b") as (a, b):
        heard = RecordingHandler()
        for number in range(50):
            await b.subscribe("orders", heard)
            b.unsubscribe("orders")
            await b.subscribe("orders", heard)
            a.publish("orders", number)
            await wait_until(lambda: heard.calls)
            assert heard.calls.pop() == ("a", number)
            b.unsubscribe("orders")


async def test_handlers_may_be_asynchronous_typed_and_broken(bus: Bus) -> None:
    class Order(msgspec.Struct):
        id: int

    got: list[Any] = []

    async def typed(sender: str, data: Order) -> None:
        got.append(data)

    def broken(sender: str, data: Any) -> None:
        raise RuntimeError("broken")

    async with running_nodes(bus, "a", "b") as (a, b):
        await b.subscribe("orders", broken)
        await b.subscribe("orders", typed)
        a.publish("orders", "no order")
        a.publish("orders", {"id": 7})
        await wait_until(lambda: got)
        assert got == [Order(7)]


async def test_subscriptions_live_on_after_a_restart_of_the_node(bus: Bus) -> None:
    async with running_nodes(bus, "a") as (a,):
        heard = RecordingHandler()
        b = Node("b", bus=bus)
        async with running(b):
            await b.subscribe("orders", heard)
        async with running(b):
            for number in range(2):
                a.publish("orders", number)
            await wait_until(lambda: len(heard.calls) == 2)


async def test_misuse_raises_where_it_happens(bus: Bus) -> None:
    async with running_nodes(bus, "a") as (a,):
        for channel in ("", "$x", 5):
            with pytest.raises(UsageError):
                a.publish(channel)  # type: ignore[arg-type]
            with pytest.raises(UsageError):
                await a.subscribe(channel, RecordingHandler())  # type: ignore[arg-type]
        with pytest.raises(InvalidPayload):
            a.publish("orders", object())
        with pytest.raises(ConfigError):
            await a.subscribe("orders", lambda one, two, three: None)  # type: ignore[type-var] # pyright: ignore


async def test_the_channel_carries_the_prefix_on_redis(redis_bus: Redis, redis_process: RedisProcess) -> None:
    async with running_nodes(redis_bus, "a") as (a,), record_channels(redis_process.port, "*orders*") as heard:
        a.publish("orders", {"id": 7})
        await wait_until(lambda: heard)
        assert [channel for channel, _ in heard] == [f"{redis_bus.prefix}c:orders"]
