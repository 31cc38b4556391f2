"""Whoever can publish on a Redis publishes frames that look like those of nodes. They stop nobody, and mute nobody."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from crosswire import Node, Redis, Server
from crosswire.cluster.redis.commands import command
from crosswire.core import envelopes
from crosswire.core.channel_names import Channels
from crosswire.core.envelopes import Beat, Claim, ClientMessage, Doubt, Envelope, Event, Goodbye, NameTaken, pack_header
from crosswire.core.membership import BEAT_INTERVAL
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.redis.support import Stopwatch
from tests.integration.cluster.support import RecordingHandler, client, connection_of, running_servers
from tests.support.aio import wait_until

NOTHING = envelopes.pack(None)
HIGHEST = 2**64 - 1


class Forger:
    """Somebody who can publish on a Redis, and does not listen.

    Attributes:
        channels: the names of the cluster's channels.
    """

    def __init__(self, writer: asyncio.StreamWriter, prefix: str) -> None:
        self._writer = writer
        self.channels = Channels(prefix)

    def publish(self, channel: bytes, frame: bytes) -> None:
        self._writer.write(command(b"PUBLISH", channel, frame))

    def forge(
        self, channel: bytes, envelope: Envelope, *, origin: bytes | None = None, number: int = 1, previous: int = 0
    ) -> None:
        """Publish an envelope with any header; without an origin, one that nobody has."""
        header = pack_header(origin or secrets.token_bytes(8), number, previous)
        self.publish(channel, header + envelopes.encode(envelope))


@asynccontextmanager
async def forger(redis: RedisProcess, bus: Redis) -> AsyncIterator[Forger]:
    """Connect to a Redis to publish there; the replies are not read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", redis.port)
    reading = asyncio.create_task(_drain(reader))
    try:
        yield Forger(writer, bus.prefix)
    finally:
        writer.close()
        await reading


async def _drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass


def stamp(seconds: float = 0) -> int:
    return int((time.time() + seconds) * 1_000_000)


def origin_of(server: Server | Node) -> bytes:
    node = server.cluster if isinstance(server, Server) else server
    return bytes.fromhex(node.incarnation)


def record_replaced(server: Server) -> list[str]:
    """Note when a server is told that it has lost its name."""
    told: list[str] = []
    server.cluster._hooks.on_replaced = lambda: told.append("replaced")
    return told


async def test_no_forged_frame_takes_a_name_or_makes_a_member_flap(
    redis_bus: Redis, redis_process: RedisProcess
) -> None:
    async with running_servers(redis_bus, "a", "b") as (a, b), forger(redis_process, redis_bus) as forged:
        told = [record_replaced(each) for each in (a, b)]
        changes: list[str] = []
        for each in (a, b):
            each.cluster.on_leave(lambda info, reason: changes.append(f"-{info.name} {reason}"))
            each.cluster.on_join(lambda info: changes.append(f"+{info.name}"))
        inc, nodes = a.cluster.incarnation, forged.channels.nodes
        own = forged.channels.incarnation(inc)
        stranger = secrets.token_hex(8)
        for replaced in (True, False):
            forged.forge(own, NameTaken("a", inc, replaced))
            forged.forge(nodes, NameTaken("a", inc, replaced), origin=origin_of(b), number=2**40)
        for channel in (nodes, own, forged.channels.node("a")):
            for since in (time.time() + 60, 1.0):
                for asks in (False, True):
                    forged.forge(channel, Beat("a", stranger, since, stamp(), asks=asks))
                    forged.forge(channel, Beat("a", inc, since, stamp(50), asks=asks, paths=("x",)))
        forged.forge(nodes, Beat("a", inc, 1.0, stamp(50), every=30.0))  # so that doubts about it count
        for _ in range(20):
            forged.forge(nodes, Doubt("a", inc))
        forged.forge(nodes, Goodbye("a", inc, stamp(50)))
        forged.forge(nodes, Goodbye("a", inc, 2**61))
        forged.forge(nodes, Goodbye("b", b.cluster.incarnation, stamp()), origin=origin_of(b), number=2**41)
        forged.forge(nodes, Beat("ghost", inc, 1.0, stamp()))
        forged.forge(nodes, Beat("ghost", stranger, 1.0, stamp()))
        await asyncio.sleep(4 * BEAT_INTERVAL)
        assert (told, changes) == ([[], []], [])
        assert a.cluster.nodes.keys() == b.cluster.nodes.keys() == {"a", "b"}
        assert a.cluster.nodes["a"].incarnation == inc
        assert b.cluster.nodes["a"].incarnation == inc
        assert a.cluster.refused
        a.cluster.on("x", lambda: "still here")
        assert await b.cluster.call("a", "x") == "still here"


async def test_a_start_is_not_refused_by_a_forged_answer(redis_bus: Redis, redis_process: RedisProcess) -> None:
    node = Node("n", bus=redis_bus)
    async with forger(redis_process, redis_bus) as forged:
        starting = asyncio.create_task(node.start())
        while not starting.done():
            for channel in redis_process.command("PUBSUB", "CHANNELS", f"{redis_bus.prefix}i:*"):
                incarnation = channel.rpartition(":")[2]
                forged.forge(channel.encode(), NameTaken("n", incarnation))
            await asyncio.sleep(0.01)
        await starting
        assert node.running
        await node.stop()


async def test_a_real_goodbye_is_told_at_once(redis_bus: Redis) -> None:
    async with running_servers(redis_bus, "a") as (a,):
        left = asyncio.Event()
        a.cluster.on_leave(lambda info, reason: left.set() if reason == "goodbye" else None)
        node = Node("n", bus=redis_bus)
        await node.start()
        await wait_until(lambda: "n" in a.cluster.nodes)
        await node.stop()
        watch = Stopwatch()
        await wait_until(left.is_set)
        assert watch.awake < 0.8  # a node that does not answer is gone after a second


RUBBISH = [
    b"",
    b"\xc1",
    b"\x93",
    envelopes.encode(NameTaken("a", "0" * 16)),
    envelopes.encode(ClientMessage(b"no json")),
]


@pytest.mark.parametrize("previous", [0, 2**40, HIGHEST - 1])
async def test_rubbish_with_a_known_origin_mutes_nobody(
    redis_bus: Redis, redis_process: RedisProcess, previous: int
) -> None:
    async with (
        running_servers(redis_bus, "a", "b") as (a, b),
        client(a, "1") as peer,
        forger(redis_process, redis_bus) as forged,
    ):
        await peer.call("join", ["chat", "r"])
        orders = RecordingHandler()
        await a.cluster.subscribe("orders", orders)
        names = forged.channels
        for number in range(3):
            b.room("chat", "r").send("x", number)
            b.user("1").send("y", number)
            b.cluster.publish("orders", number)
            assert {(await peer.receive()).data for _ in range(2)} == {number}
            for channel in (names.room("chat", "r"), names.user("1"), names.custom("orders"), names.everyone):
                for body in RUBBISH:
                    forged.publish(channel, pack_header(origin_of(b), HIGHEST, previous) + body)
            before = a.cluster.refused
            await wait_until(lambda: a.cluster.refused > before)  # noqa: B023 - it is called here
        await wait_until(lambda: len(orders.calls) == 3)
        assert a.cluster.gaps == 0


async def test_one_readable_frame_with_a_large_number_mutes_nobody_and_is_told_as_a_gap(
    redis_bus: Redis, redis_process: RedisProcess
) -> None:
    forgeries = [(HIGHEST, 0), (HIGHEST, HIGHEST - 1), (2**50, 2**49)]
    async with (
        running_servers(redis_bus, "a", "b") as (a, b),
        client(a, "1") as peer,
        forger(redis_process, redis_bus) as forged,
    ):
        channel = forged.channels.user("1")
        for count, (number, previous) in enumerate(forgeries, 1):
            for text in ("one", "two"):
                b.user("1").send("x", text)
                assert (await peer.receive("x")).data == text
            message = ClientMessage(b'{"event":"forged"}')
            forged.forge(channel, message, origin=origin_of(b), number=number, previous=previous)
            await peer.receive("forged")
            for text in ("three", "four", "five"):
                b.user("1").send("x", text)
                assert (await peer.receive("x")).data == text
            await wait_until(lambda: a.cluster.gaps >= count)  # noqa: B023 - it is called here
            await asyncio.sleep(0.6)  # the next gap is reported by itself


async def test_a_chain_of_forged_numbers_mutes_its_sender_for_a_second_at_most(
    redis_bus: Redis, redis_process: RedisProcess
) -> None:
    async with (
        running_servers(redis_bus, "a", "b") as (a, b),
        client(a, "1") as peer,
        forger(redis_process, redis_bus) as forged,
    ):
        channel, number = forged.channels.user("1"), 2**50
        b.user("1").send("x", -1)
        await peer.receive("x")
        for _ in range(3):
            forged.forge(channel, ClientMessage(b'{"event":"z"}'), origin=origin_of(b), number=number)
            number += 1
        came, began = list[int](), time.monotonic()
        for sent in range(60):
            b.user("1").send("x", sent)
            number += 1
            forged.forge(
                channel, ClientMessage(b'{"event":"z"}'), origin=origin_of(b), number=number, previous=number - 1
            )
            await asyncio.sleep(0.05)
        b.user("1").send("end")
        while (event := await peer.receive()).event != "end":
            came += [event.data] if event.event == "x" else []
        lasted = time.monotonic() - began
        assert came == sorted(set(came))
        assert came[-1] == 59
        assert len(came) > 60 * (1 - 1.5 / lasted)
        assert a.cluster.gaps


async def test_text_that_is_no_json_reaches_no_client(redis_bus: Redis, redis_process: RedisProcess) -> None:
    msgpack = {"Sec-WebSocket-Protocol": "crosswire.msgpack"}
    bad = [
        b"no json",
        b"{}",
        b'{"event":1}',
        b'{"event":"$ready"}',
        b'{"event":"a"}x',
        b"[1]",
        b'{"event":"\xff"}',
        b"",
    ]
    async with (
        running_servers(redis_bus, "a") as (a,),
        client(a, "1") as one,
        client(a, "2", msgpack) as two,
        forger(redis_process, redis_bus) as forged,
    ):
        for text in bad:
            forged.forge(forged.channels.everyone, ClientMessage(text))
        for packed in (b"", b"\xc1", b"\x80", b"\x81\xa5event\x01"):
            forged.forge(forged.channels.everyone, ClientMessage(b'{"event":"a"}', (), packed))
        await wait_until(lambda: a.cluster.refused == len(bad) + 4)
        forged.forge(forged.channels.everyone, ClientMessage(b'{"event":"good"}'))
        assert [(await each.receive()).event for each in (one, two)] == ["good", "good"]


async def test_invented_members_cost_little_and_no_line_of_the_log_each(
    redis_bus: Redis, redis_process: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    invented = 5_000
    async with running_servers(redis_bus, "a", "b") as (a, _), forger(redis_process, redis_bus) as forged:
        joined: list[str] = []
        a.cluster.on_join(lambda info: joined.append(info.name))
        members = connection_of(a).members
        before, cpu, longest = a.cluster.refused, time.process_time(), 0.0
        for number in range(invented):
            forged.forge(forged.channels.nodes, Beat(f"n{number}", secrets.token_hex(8), 1.0, stamp(), asks=True))
            if number % 50 == 0:
                began = time.thread_time()
                await asyncio.sleep(0)
                longest = max(longest, time.thread_time() - began)
        await wait_until(lambda: a.cluster.refused + members._newcomers.refused - before >= invented, 20)
        assert time.process_time() - cpu < 10  # two servers and the forger
        assert longest < 0.2
        assert not joined
        assert set(a.cluster.nodes) == {"a", "b"}
        assert len(caplog.records) < 60


async def test_invented_origins_are_forgotten(redis_bus: Redis, redis_process: RedisProcess) -> None:
    async with running_servers(redis_bus, "a") as (a,), forger(redis_process, redis_bus) as forged:
        heard = RecordingHandler()
        a.cluster.on("e", heard)
        silent = connection_of(a).port._receivers._silent
        for number in range(30_000):
            forged.forge(forged.channels.nodes, Event("x", "e" if number % 1000 == 0 else "f", NOTHING))
            if number % 100 == 0:
                await asyncio.sleep(0)
        await wait_until(lambda: len(heard.calls) == 30, 20)
        assert len(silent) <= 10_000


async def test_false_claims_close_no_connection(redis_bus: Redis, redis_process: RedisProcess) -> None:
    async with (
        running_servers(redis_bus, "a") as (a,),
        client(a, "1") as peer,
        forger(redis_process, redis_bus) as forged,
    ):
        channel = forged.channels.user("1")
        for incarnation, when in (("", 1), ("x" * 16, 1), ("0" * 16, -1), ("0" * 16, 2**63 - 1)):
            forged.forge(channel, Claim(incarnation, when, alive=True))
        await wait_until(lambda: a.cluster.refused == 4)
        assert await peer.call("hello") == "a"


async def test_the_clock_stays_within_a_minute(redis_bus: Redis, redis_process: RedisProcess) -> None:
    async with running_servers(redis_bus, "a", "b") as (a, b), forger(redis_process, redis_bus) as forged:
        inc = b.cluster.incarnation
        for ahead in (3600, 59, 2**40):
            forged.forge(forged.channels.nodes, Beat("b", inc, 1.0, stamp(ahead)), origin=origin_of(b), number=2**40)
        orders: dict[str, Any] = {}
        b.cluster.on("x", lambda: orders.setdefault("x", "here"))
        await asyncio.sleep(2 * BEAT_INTERVAL)
        assert await a.cluster.call("b", "x") == "here"
        assert connection_of(a).client_channels.stamp() < stamp(61)
