"""The recorded calls again: Crosswire publishes the same messages, and understands those of the original."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from crosswire import Server
from crosswire.testing import EventClient
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.original import (
    BRIDGE,
    FORMATS,
    Message,
    adding_server,
    compat_bus,
    decoded,
    encoded,
    foreign,
    frames_to,
    recorded,
    without_ids,
)
from tests.integration.cluster.support import RecordingHandler, client, received, running
from tests.support.aio import wait_until
from tests.support.record_channels import record_channels

ODD: list[Any] = [
    "text",
    0,
    False,
    [],
    {"k é 漢": "v 🎉", "nested": {"a": [1, {"b": None}]}, "big": 2**53 - 1, "neg": -1.5e-7},
]


def send_as_recorded(server: Server) -> None:
    """To clients, from server A, while client 1 is there and in the room."""
    server.everyone.send("news", {"text": "to everyone"})
    server.everyone.send("news", {"text": "local"}, local=True)
    server.user("2").send("say", {"text": "to 2"})
    server.user("99").send("say", {"text": "to nobody"})
    server.users(["1", "2", "99"]).send("say", {"text": "to 1, 2, 99"})
    server.room("chat", "1000").send("roomSay", {"text": "to room"})
    server.room("chat", "1000").send("roomSay", {"text": "not 2"}, exclude=["2"])
    for payload in ODD:
        server.user("2").send("odd", payload)


async def ask_as_recorded(server: Server) -> None:
    """Ask all nodes from server A, as in the recording."""
    cluster = server.cluster
    cluster.send("note", {"content": "hello"})
    assert await cluster.call("serverB", "sum", {"a": 1, "b": 2}) == {"total": 3, "by": "serverB"}
    replies = await cluster.gather("sum", {"a": 5, "b": 7}, expect=2)
    assert dict(replies) == {name: {"total": 12, "by": name} for name in ("serverA", "serverB")}
    replies = await cluster.gather("sum", {"a": 5, "b": 7}, to="nobody", timeout=0.3)
    assert (dict(replies), replies.missing) == ({}, ("nobody",))
    cluster.publish("orders", {"id": 7, "item": "tea"})


async def events(peer: EventClient, count: int) -> list[Any]:
    got = [await peer.receive() for _ in range(count)]
    return [{"event": each.event, "payload": each.data} for each in got]


def comparable(messages: list[Message], format: str) -> list[str]:
    """Messages without generated ids, in an order that does not depend on who was quicker."""
    return sorted(json.dumps(each, sort_keys=True) for each in without_ids(decoded(each, format) for each in messages))


@pytest.mark.parametrize("format", FORMATS)
async def test_we_publish_what_the_original_publishes(redis_process: RedisProcess, format: str) -> None:
    bus = compat_bus(redis_process, format, preset_namespaces=["lobby"])
    a, b = adding_server("serverA", bus), adding_server("serverB", bus)
    expected = comparable(recorded(format), format)
    async with (
        running(a, b),
        client(a, "1") as one,
        client(b, "2") as two,
        record_channels(redis_process.port, "*") as heard,
    ):
        for peer in (one, two):
            await peer.call("join", ["chat", "1000"])
        send_as_recorded(a)
        await ask_as_recorded(a)
        await wait_until(lambda: len(foreign(heard, bus)) >= len(expected))
        assert comparable(foreign(heard, bus), format) == expected
        for peer, name in ((one, "c1"), (two, "c2")):
            frames = [json.loads(frame) for frame in frames_to(name, format)]
            assert await events(peer, len(frames)) == frames


@pytest.mark.parametrize("format", FORMATS)
async def test_our_messages_for_clients_are_the_same_bytes(redis_process: RedisProcess, format: str) -> None:
    bus = compat_bus(redis_process, format)
    a = adding_server("serverA", bus)
    async with running(a), client(a, "1"), record_channels(redis_process.port, "ws:*") as heard:
        expected = {each for each in recorded(format) if each[0].startswith("ws:")}
        send_as_recorded(a)
        await wait_until(lambda: set(heard) == expected)


@pytest.mark.parametrize("format", FORMATS)
async def test_what_the_original_published_reaches_our_clients(redis_process: RedisProcess, format: str) -> None:
    bus = compat_bus(redis_process, format)
    b = adding_server("serverB", bus)
    frames = [json.loads(frame) for frame in frames_to("c2", format)]
    async with running(b), client(b, "2") as two, client(b, "3") as outside:
        await two.call("join", ["chat", "1000"])
        await outside.call("join", ["chat", "1001"])
        for channel, body in recorded(format):
            if channel.startswith("ws:"):
                redis_process.command("PUBLISH", channel, body)
        assert await events(two, len(frames)) == frames
        b.everyone.send("end")
        assert await received(two) == []
        assert await received(outside) == [("news", {"text": "to everyone"})]
        assert b.cluster.refused == 0


@pytest.mark.parametrize("format", FORMATS)
async def test_what_the_original_published_reaches_our_node(redis_process: RedisProcess, format: str) -> None:
    bus = compat_bus(redis_process, format)
    b = adding_server("serverB", bus)
    notes, orders = RecordingHandler(), RecordingHandler()
    b.cluster.on("note", notes)
    messages = [(channel, body) for channel, body in recorded(format) if channel in (BRIDGE, "orders")]
    asked = [each for each in messages if each[0] == BRIDGE and _sender(each, format) == "serverA"]
    answers = [each for each in messages if each[0] == BRIDGE and _sender(each, format) == "serverB"]
    async with running(b), record_channels(redis_process.port, BRIDGE) as heard:
        await b.cluster.subscribe("orders", orders)
        for channel, body in [*asked, *(each for each in messages if each[0] == "orders")]:
            redis_process.command("PUBLISH", channel, body)
        await wait_until(lambda: orders.calls)
        assert notes.calls == [("serverA", {"content": "hello"})]
        assert orders.calls == [("", {"id": 7, "item": "tea"})]
        # The ids of its calls are its own, so our answers equal those of the original serverB.
        await wait_until(lambda: len(heard) == len(asked) + len(answers))
        mine = [decoded(each, format) for each in heard if _sender(each, format) == "serverB"]
        assert mine == [decoded(each, format) for each in answers]
        assert b.cluster.refused == 0


@pytest.mark.parametrize("format", FORMATS)
async def test_the_answers_of_originals_are_understood(redis_process: RedisProcess, format: str) -> None:
    bus = compat_bus(redis_process, format)
    a = adding_server("serverA", bus)
    recorded_answer = next(each for each in recorded(format) if _sender(each, format) == "serverB")
    async with running(a), record_channels(redis_process.port, BRIDGE) as heard:
        call = asyncio.create_task(a.cluster.call("serverB", "sum", {"a": 1, "b": 2}))
        gathering = asyncio.create_task(a.cluster.gather("sum", {"a": 1, "b": 2}, to=["serverB", "serverA"]))
        stream = a.cluster.stream("sum", {"a": 1, "b": 2}, expect=1, include_self=False)

        def requests() -> list[Any]:
            return [each for each in (decoded(one, format)[1]["data"] for one in heard) if each["event"] == "sum"]

        await wait_until(lambda: len(requests()) == 3)
        for request in requests():
            answer = decoded(recorded_answer, format)[1]
            answer["data"]["callbackId"] = request["callbackId"]
            for _ in range(2):  # it counts once
                redis_process.command("PUBLISH", BRIDGE, encoded(answer, format))
        three = {"total": 3, "by": "serverB"}
        assert await call == three
        assert dict(await gathering) == {"serverB": three, "serverA": {"total": 3, "by": "serverA"}}
        assert [(reply.sender, reply.data) async for reply in stream] == [("serverB", three)]


def _sender(message: Message, format: str) -> str:
    channel, data = decoded(message, format)
    return str(data["data"]["senderServer"]) if channel == BRIDGE else ""
