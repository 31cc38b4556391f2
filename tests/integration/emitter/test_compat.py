"""An emitter among the original's servers: the recorded messages, and Crosswire's servers in the same cluster."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from crosswire import CallTimeout, Emitter, EventError, InvalidPayload, UsageError
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.original import (
    BRIDGE,
    FORMATS,
    Message,
    adding_server,
    compat_bus,
    decoded,
    foreign,
    recorded,
    without_ids,
)
from tests.integration.cluster.support import RecordingHandler, client, clients, received, running, running_nodes
from tests.integration.cluster.test_compat_vectors import ODD
from tests.support.aio import wait_until
from tests.support.record_channels import record_channels

SENDER = "senderServer"


def send_as_recorded(emitter: Emitter) -> None:
    """What server A of the recording sends to clients and servers."""
    emitter.everyone.send("news", {"text": "to everyone"})
    emitter.user("2").send("say", {"text": "to 2"})
    emitter.user("99").send("say", {"text": "to nobody"})
    emitter.users(["2", "99"]).send("say", {"text": "to 1, 2, 99"})  # server A has client 1 itself
    emitter.room("chat", "1000").send("roomSay", {"text": "to room"})
    emitter.room("chat", "1000").send("roomSay", {"text": "not 2"}, exclude=["2"])
    for payload in ODD:
        emitter.user("2").send("odd", payload)
    emitter.send("note", {"content": "hello"})
    assert emitter.call("serverB", "sum", {"a": 1, "b": 2}) == {"total": 3, "by": "serverB"}


def requests(messages: list[Message], format: str) -> list[str]:
    """The messages for clients, the event and the call, without their sender."""
    found: list[str] = []
    for channel, message in without_ids(decoded(each, format) for each in messages):
        inner = message["data"] if channel == BRIDGE else message
        inner.pop(SENDER, None)
        is_asked = inner.get("event") == "note" or inner.get("targetServer") == ["serverB"]
        if channel.startswith("ws:") or (channel == BRIDGE and is_asked):
            found.append(json.dumps([channel, message], sort_keys=True))
    return found


@pytest.mark.parametrize("format", FORMATS)
async def test_it_publishes_what_the_original_publishes(redis_process: RedisProcess, format: str) -> None:
    bus = compat_bus(redis_process, format)
    expected = requests(recorded(format), format)
    async with running(b := adding_server("serverB", bus)), client(b, "2") as two:
        await two.call("join", ["chat", "1000"])
        async with record_channels(redis_process.port, "*") as heard:
            with Emitter(redis=bus) as emitter:
                await asyncio.to_thread(send_as_recorded, emitter)
            await wait_until(lambda: len(requests(foreign(heard, bus), format)) >= len(expected))
            assert sorted(requests(foreign(heard, bus), format)) == sorted(expected)
        b.everyone.send("end")
        got = await received(two)
        assert [event for event, _ in got] == ["news", "say", "say", "roomSay", *["odd"] * len(ODD)]
        assert [data for event, data in got if event == "odd"] == ODD


@pytest.mark.parametrize("format", FORMATS)
async def test_it_works_with_our_servers_there(redis_process: RedisProcess, format: str) -> None:
    bus = compat_bus(redis_process, format)
    async with (
        running(a := adding_server("a", bus), b := adding_server("b", bus)),
        running_nodes(bus, "n") as (n,),
        clients({"1": a, "2": b}) as peers,
    ):
        for peer in peers.values():
            await peer.call("join", ["chat", "r"])
        heard = RecordingHandler()
        n.on("x", heard)

        @n.on("refuse")
        def refuse() -> None:
            raise EventError("full", "it is full")

        def work(emitter: Emitter) -> None:
            assert emitter.everyone.count() == 2
            assert emitter.room("chat", "r").count() == 2
            assert dict(emitter.user("1").close(4001)) == {"a": 1, "b": 0}
            emitter.send("x", {"text": "ü"}, to="n")
            with pytest.raises(EventError, match="full: it is full"):
                emitter.call("n", "refuse")
            with pytest.raises(CallTimeout):  # original servers are no members: it is sent, and may time out
                emitter.call("nobody", "x", timeout=0.05)
            with pytest.raises(UsageError, match="original"):
                emitter.everyone.send("x", exclude=["1"])
            with pytest.raises(UsageError, match="broadcast"):
                emitter.room("broadcast", "r").send("x")
            for data in (2**60, object()):
                with pytest.raises(InvalidPayload):
                    emitter.send("x", data)

        with Emitter(redis=bus) as emitter:
            await asyncio.to_thread(work, emitter)
        assert (await peers["1"].closed()).code == 4001
        await wait_until(lambda: [data for _, data in heard.calls] == [{"text": "ü"}])
        assert set(a.cluster.nodes) == {"a", "b", "n"}


async def test_over_several_redis_each_message_is_sent_once(redis_process: RedisProcess) -> None:
    with RedisProcess() as other, RedisProcess() as third:
        bus = compat_bus(redis_process, "json")
        urls: Any = [redis_process.url, other.url, third.url]
        several = type(bus)(urls, prefix=bus.prefix, compat=bus.compat)
        async with running(a := adding_server("a", several)), client(a, "1") as one:
            await one.call("join", ["chat", "r"])
            with Emitter(redis=several) as emitter:

                def work(start: int) -> None:
                    for number in range(start, start + 20):
                        emitter.room("chat", "r").send("room", number)
                        emitter.user("1").send("user", number)

                async def receive_all(start: int) -> None:
                    for event in ("room", "user"):
                        got = [(await one.receive(event)).data for _ in range(20)]
                        assert got == list(range(start, start + 20))

                await asyncio.to_thread(work, 0)
                await receive_all(0)  # what is still on its way when a Redis dies is lost, without numbers
                other.kill()
                await wait_until(lambda: not all(status.healthy for status in a.cluster.redis.status()))
                await asyncio.to_thread(work, 20)
                await receive_all(20)
