"""Messages of the bus are checked, whoever sent them, and counted if they are refused."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosswire import MemoryBus, Node, Redis
from crosswire.cluster.interface import Bus
from crosswire.core import envelopes
from crosswire.core.channel_names import Channels
from crosswire.core.envelopes import (
    Batch,
    Beat,
    Claim,
    ClientBatch,
    ClientMessage,
    Doubt,
    Envelope,
    Event,
    Goodbye,
    NameTaken,
    NodeRequest,
    PublishedMessage,
    TextBatch,
)
from crosswire.core.membership import BEAT_INTERVAL
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.scripted_node import ScriptedNode, scripted_node
from tests.integration.cluster.support import RecordingHandler, client, running_servers
from tests.support.aio import wait_until

_NOTHING = envelopes.pack(None)


def all_channels(channels: Channels, node: Node) -> list[bytes]:
    """Return a channel of each kind that a server subscribes to, with user 1 in room r and a handler of orders."""
    return [
        channels.everyone,
        channels.nodes,
        channels.node(node.name),
        channels.incarnation(node.incarnation),
        channels.user("1"),
        channels.room("chat", "r"),
        channels.custom("orders"),
    ]


async def check_undisturbed(bus: Bus, disturb: Callable[[ScriptedNode, list[bytes]], object]) -> int:
    """Let a scripted node disturb a server, check that the server works, and return how much it refused."""
    async with running_servers(bus, "a", "b") as (a, b), client(a, "1") as peer, scripted_node(bus) as scripted:
        await peer.call("join", ["chat", "r"])
        orders = RecordingHandler()
        await a.cluster.subscribe("orders", orders)
        a.cluster.on("x", lambda: "still here")
        disturb(scripted, all_channels(scripted.channels, a.cluster))
        scripted.say(scripted.channels.node("a"), Event("scripted", "last", _NOTHING))
        last = RecordingHandler()
        a.cluster.on("last", last)
        await wait_until(lambda: last.calls)
        assert await b.cluster.call("a", "x") == "still here"
        b.cluster.publish("orders", 1)
        b.room("chat", "r").send("y")
        b.user("1").send("z")
        assert [(await peer.receive(event)).event for event in ("y", "z")] == ["y", "z"]
        await wait_until(lambda: orders.calls == [("b", 1)])
        return a.cluster.refused


@pytest.mark.parametrize("seed", range(3))
async def test_random_bytes_are_refused_and_counted(bus: Bus, seed: int) -> None:
    choose = random.Random(seed)
    bodies = [b"", b"\xc1", *(choose.randbytes(choose.choice([1, 8, 100])) for _ in range(20))]

    def disturb(scripted: ScriptedNode, channels: list[bytes]) -> None:
        for channel in channels:
            for body in bodies:
                scripted.port.publish(channel, body)

    assert await check_undisturbed(bus, disturb) == 7 * len(bodies)


async def test_bytes_without_our_header_are_refused_and_counted(redis_bus: Redis, redis_process: RedisProcess) -> None:
    bodies = [b"", b"\x01", b"\x02" + bytes(30), b'{"data":{}}']

    def disturb(scripted: ScriptedNode, channels: list[bytes]) -> None:
        for channel in channels:
            for body in bodies:
                redis_process.command("PUBLISH", channel, body)

    assert await check_undisturbed(redis_bus, disturb) == 7 * len(bodies)


async def test_sound_messages_where_they_do_not_belong_are_refused_and_counted(bus: Bus) -> None:
    for_clients, claim = ClientMessage(b"{}"), Claim("0" * 16, 1)
    batch, client_batch, texts = Batch([]), ClientBatch([]), TextBatch([b"{}"])
    published, event = PublishedMessage("scripted", _NOTHING), Event("scripted", "none", _NOTHING)
    misplaced: list[tuple[int, Envelope]] = [
        *((place, each) for place in (0, 4, 5) for each in (published, event, batch, NameTaken("a", "0" * 16))),
        *((place, Doubt("a", "0" * 16)) for place in (0, 4, 5)),
        *((place, each) for place in (1, 2, 3) for each in (for_clients, client_batch, texts, claim, published)),
        (0, claim),
        (5, claim),
        *((6, each) for each in (for_clients, client_batch, texts, claim, event)),
    ]

    def disturb(scripted: ScriptedNode, channels: list[bytes]) -> None:
        for place, envelope in misplaced:
            scripted.say(channels[place], envelope)

    assert await check_undisturbed(bus, disturb) == len(misplaced)


HOSTILE: list[Any] = [
    ["b", "evil", "no hex", 1.0, 1],
    ["b", "evil", "", 1.0, 1],
    ["b", "evil", "0" * 16, 1.0, 2**64 - 1],
    ["b", "evil", "0" * 16, 1.0, -1],
    ["b", 5, "0" * 16, 1.0, 1],
    ["b", "evil"],
    ["g", "scripted", "no hex", 1],
    ["g", "scripted", "0" * 16, 2**64 - 1],
    ["e", "scripted", 5, None],
    ["q", "scripted", "asker", "id", {}, None],
    ["unknown"],
    [],
    {},
    [[["b"]]],
]


async def test_messages_with_impossible_values_are_refused_and_counted(bus: Bus) -> None:
    async with running_servers(bus, "a") as (a,), scripted_node(bus) as scripted:
        for number, message in enumerate(HOSTILE, 1):
            scripted.port.publish(scripted.channels.nodes, msgspec.msgpack.encode(message))
            await wait_until(lambda: a.cluster.refused == number, 2)  # noqa: B023 - it is called here
        assert a.cluster.nodes.keys() == {"a", "scripted"}


async def test_a_message_for_clients_that_breaks_their_protocol_is_refused_and_counted(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    msgpack = {"Sec-WebSocket-Protocol": "crosswire.msgpack"}
    async with (
        running_servers(bus, "a") as (a,),
        client(a, "1") as peer,
        client(a, "2", msgpack) as other,
        scripted_node(bus) as scripted,
    ):
        channels = scripted.channels
        for number, channel in enumerate(
            (channels.everyone, channels.user("1"), channels.everyone, channels.user("2"))
        ):
            body = b'{"event":"\xff"}' if number < 2 else b"no json"
            scripted.say(channel, ClientMessage(body, (), None if number >= 2 else b"\x80"))
            await wait_until(lambda: a.cluster.refused == number + 1)  # noqa: B023 - it is called here
        scripted.say(channels.user("1"), ClientBatch([ClientMessage(b'{"event":"sound"}'), ClientMessage(b"no json")]))
        await wait_until(lambda: a.cluster.refused == 5)
        scripted.say(channels.user("1"), TextBatch([b'{"event":"sound"}', b"no json"]))
        await wait_until(lambda: a.cluster.refused == 6)
        scripted.say(channels.everyone, ClientMessage('{"event":"é"}'.encode()))
        assert [(await each.receive()).event for each in (peer, other)] == ["é", "é"]
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert "a message that came over the bus could not be read" in caplog.text


async def test_a_stamp_from_the_future_moves_no_clock_and_is_counted(bus: Bus) -> None:
    async with running_servers(bus, "a", "b") as (a, b), scripted_node(bus) as scripted:
        year = 366 * 24 * 3600 * 1_000_000
        beat = scripted.beat_of(stamp=time.time_ns() // 1000 + year)
        scripted.native.announce(beat)
        scripted.native.announce(Goodbye("nobody", "0" * 16, beat.stamp))
        await wait_until(lambda: (a.cluster.refused, b.cluster.refused) == (2, 2))
        await wait_until(lambda: "scripted" in a.cluster.nodes)  # as soon as it has been found to listen
        scripted.beats.clear()
        await wait_until(lambda: {each.name for each in scripted.beats} == {"a", "b"})
        assert max(each.stamp for each in scripted.beats) < time.time_ns() // 1000 + year // 2


async def test_no_message_stops_the_beats_of_a_node(bus: Bus) -> None:
    async with running_servers(bus, "a") as (a,), scripted_node(bus) as scripted:
        for message in HOSTILE:
            scripted.port.publish(scripted.channels.nodes, msgspec.msgpack.encode(message))
        await asyncio.sleep(0)
        scripted.beats.clear()
        began = asyncio.get_running_loop().time()
        await wait_until(lambda: len([beat for beat in scripted.beats if beat.name == "a"]) >= 3)
        assert asyncio.get_running_loop().time() - began < 8 * BEAT_INTERVAL
        async with client(a, "1") as peer:
            assert await peer.call("hello") == "a"


SERVICES: list[tuple[str, Any]] = [
    ("$close", {"target": {"type": "everyone"}, "code": 5, "reason": "x"}),
    ("$close", {"target": {"type": "everyone"}, "code": 4000, "reason": "x" * 1000}),
    ("$close", {"target": {"type": "users", "users": [5]}, "code": 4000, "reason": ""}),
    ("$gather", {"target": {"type": "everyone"}, "event": "", "data": None, "timeout": float("nan")}),
    ("$gather", {"target": {"type": "everyone"}, "event": "x", "data": None, "timeout": -1.0}),
    ("$count", {"target": {"type": "nobody"}}),
    ("$members", None),
    ("$add", {"room": {"namespace": "", "id": ""}, "user": ""}),
    ("$none", None),
    ("$", None),
    ("", None),
]


async def test_a_service_answers_an_invalid_request(bus: Bus) -> None:
    async with running_servers(bus, "a") as (a,), scripted_node(bus) as scripted:
        answers: list[bytes] = []
        channel = scripted.channels.incarnation(scripted.incarnation)
        scripted.port.subscribe(channel, answers.append)
        for number, (service, data) in enumerate(SERVICES):
            request = NodeRequest("scripted", scripted.incarnation, f"id {number}", service, envelopes.pack(data))
            scripted.say(scripted.channels.node("a"), request)
        for number in range(len(SERVICES)):
            await wait_until(lambda: any(f"id {number}".encode() in answer for answer in answers))  # noqa: B023
        async with client(a, "1") as peer:
            assert await peer.call("hello") == "a"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 6), st.binary(max_size=64)), max_size=30))
async def test_no_bytes_on_any_channel_disturb_a_node(messages: list[tuple[int, bytes]]) -> None:
    def disturb(scripted: ScriptedNode, channels: list[bytes]) -> None:
        for place, body in messages:
            scripted.port.publish(channels[place], body)

    await check_undisturbed(MemoryBus(), disturb)


_ids = st.text(max_size=8)
_stamps = st.integers(-(2**63), 2**64 - 1)
_sound: list[st.SearchStrategy[Any]] = [
    st.builds(
        Beat, _ids, _ids, st.floats(), _stamps, st.integers(-5, 5), st.booleans(), asks=st.booleans(), every=st.floats()
    ),
    st.builds(Goodbye, _ids, _ids, _stamps),
    st.builds(Claim, _ids, st.integers(-(2**63), 0)),
    st.builds(ClientMessage, st.just(b'{"event":"odd"}'), st.tuples(_ids)),  # what is in it is for the clients to check
    st.builds(ClientBatch, st.lists(st.builds(ClientMessage, st.sampled_from([b'{"event":"odd"}', b"{"])), max_size=3)),
    st.builds(TextBatch, st.lists(st.sampled_from([b'{"event":"odd"}', b"{"]), max_size=3)),
    st.builds(NameTaken, st.just("a"), _ids, st.booleans()),
    st.builds(Doubt, st.just("a"), _ids),
    st.builds(NodeRequest, _ids, _ids, _ids, st.sampled_from(["x", "none", "$count", "$members"]), st.just(_NOTHING)),
]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 6), st.one_of(_sound)), max_size=20))
async def test_no_message_of_the_right_form_disturbs_a_node(messages: list[tuple[int, Envelope]]) -> None:
    def disturb(scripted: ScriptedNode, channels: list[bytes]) -> None:
        for place, envelope in messages:
            scripted.say(channels[place], envelope)

    await check_undisturbed(MemoryBus(), disturb)
