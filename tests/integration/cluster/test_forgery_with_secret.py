"""With a secret, nothing that an outsider publishes has any effect but a counter."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosswire import ConfigError, MemoryBus, Node, Redis
from crosswire.cluster.compat import Compat
from crosswire.core.envelopes import Beat, ClientMessage, Goodbye, NameTaken
from crosswire.core.membership import BEAT_INTERVAL
from crosswire.core.signing import SIGNED_HEADER_SIZE
from crosswire.emitter.emitter import Emitter
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.support import (
    RecordingHandler,
    client,
    make_server,
    received,
    running,
    running_nodes,
    running_servers,
)
from tests.integration.cluster.test_forgery import Forger, forger, origin_of, stamp
from tests.support.aio import wait_until

SECRET = secrets.token_hex(16)


@pytest.fixture
def signed_bus(redis_bus: Redis) -> Redis:
    return replace(redis_bus, secret=SECRET)


@asynccontextmanager
async def tapped(redis: RedisProcess, bus: Redis) -> AsyncIterator[list[tuple[bytes, bytes]]]:
    """Record every frame on every channel of a cluster."""
    frames: list[tuple[bytes, bytes]] = []
    reader, writer = await asyncio.open_connection("127.0.0.1", redis.port)
    pattern = f"{bus.prefix}*".encode()
    writer.write(b"*2\r\n$10\r\nPSUBSCRIBE\r\n$%d\r\n%b\r\n" % (len(pattern), pattern))
    await reader.readuntil(b":1\r\n")
    reading = asyncio.create_task(_record(reader, frames))
    try:
        yield frames
    finally:
        writer.close()
        reading.cancel()
        await asyncio.wait({reading})


async def _record(reader: asyncio.StreamReader, frames: list[tuple[bytes, bytes]]) -> None:
    while await reader.readexactly(4):  # *4
        _kind, _pattern, channel, frame = [await _bulk(reader) for _ in range(4)]
        if b"p:" not in channel:
            frames.append((channel, frame))


async def _bulk(reader: asyncio.StreamReader) -> bytes:
    size = int((await reader.readline())[1:])
    return (await reader.readexactly(size + 2))[:-2]


async def test_a_cluster_with_a_secret_works(signed_bus: Redis) -> None:
    async with running_servers(signed_bus, "a", "b") as (a, b), client(a, "1") as peer, client(a, "2") as other:
        await peer.call("join", ["chat", "r"])
        orders = RecordingHandler()
        await a.cluster.subscribe("orders", orders)
        a.cluster.on("x", lambda sender, data: [sender, data])
        assert await b.cluster.call("a", "x", 5) == ["b", 5]
        assert (await b.room("chat", "r").members()).users == {"1"}
        b.room("chat", "r").send("room", 1)
        b.user("1").send("user", 2)
        b.everyone.send("all", 3)
        b.cluster.publish("orders", 4)
        assert {(await peer.receive()).data for _ in range(3)} == {1, 2, 3}
        assert (await other.receive()).data == 3
        await wait_until(lambda: orders.calls == [("b", 4)])
        with Emitter(signed_bus) as emitter:
            await asyncio.to_thread(emitter.user("1").send, "emitted", 5)
            assert await asyncio.to_thread(emitter.call, "a", "x", 6) == [emitter._connected()._name, 6]
            assert await asyncio.to_thread(emitter.user("1").count) == 1
        assert (await peer.receive("emitted")).data == 5
        assert (a.cluster.refused, b.cluster.refused, a.cluster.gaps) == (0, 0, 0)


async def test_members_come_and_go_with_a_secret(signed_bus: Redis) -> None:
    told: list[str] = []
    async with running_nodes(signed_bus, "a") as (a,):
        a.on_join(lambda info: told.append(f"+{info.name}"))
        a.on_leave(lambda info, reason: told.append(f"-{info.name} {reason}"))
        for _ in range(3):
            async with running_nodes(signed_bus, "b"):
                await wait_until(lambda: "b" in a.nodes)
                with pytest.raises(ConfigError):
                    await Node("b", bus=signed_bus).start()
            await wait_until(lambda: "b" not in a.nodes)
    assert told == ["+b", "-b goodbye"] * 3


async def test_frames_that_are_not_signed_have_no_effect_but_a_counter(
    signed_bus: Redis, redis_process: RedisProcess
) -> None:
    async with (
        running_servers(signed_bus, "a", "b") as (a, b),
        client(a, "1") as peer,
        forger(redis_process, signed_bus) as forged,
    ):
        names, inc = forged.channels, a.cluster.incarnation
        for each in (names.everyone, names.user("1")):
            forged.forge(each, ClientMessage(b'{"event":"forged"}'), origin=origin_of(b), number=2**50)
        forged.forge(names.nodes, Goodbye("b", b.cluster.incarnation, stamp()), origin=origin_of(b), number=2**50)
        forged.forge(names.nodes, Beat("c", secrets.token_hex(8), 1.0, stamp()))
        forged.forge(names.incarnation(inc), NameTaken("a", inc, replaced=True))
        await wait_until(lambda: a.cluster.refused == 5)
        b.user("1").send("end")
        assert await received(peer) == []
        assert set(a.cluster.nodes) == {"a", "b"}
        assert a.cluster.gaps == 0


async def test_replayed_frames_have_no_effect_but_a_counter(signed_bus: Redis, redis_process: RedisProcess) -> None:
    a, b = make_server("a", signed_bus), make_server("b", signed_bus)
    orders = RecordingHandler()
    heard: list[Any] = []
    a.cluster.on("event", lambda sender, data: heard.append(data))
    async with running(b), tapped(redis_process, signed_bus) as frames, forger(redis_process, signed_bus) as forged:
        async with running(a):
            await a.cluster.subscribe("orders", orders)
            async with client(a, "1") as peer:
                await peer.call("join", ["chat", "r"])
                await wait_until(lambda: {"a", "b"} == set(a.cluster.nodes) == set(b.cluster.nodes))
                b.room("chat", "r").send("x", 1)
                b.user("1").send("x", 2)
                b.everyone.send("x", 3)
                b.cluster.publish("orders", 4)
                b.cluster.send("event", 5)
                assert {(await peer.receive("x")).data for _ in range(3)} == {1, 2, 3}
                await wait_until(lambda: heard and orders.calls)
                # on the same channels, and on all others
                await check_replays(forged, frames, peer, b)
            async with client(a, "1") as back:  # the client comes back
                await back.call("join", ["chat", "r"])
                await check_replays(forged, frames, back, b)
            assert (heard, orders.calls) == ([5], [("b", 4)])
        async with running(a):  # the server is started again
            await a.cluster.subscribe("orders", orders)
            async with client(a, "1") as back:
                await back.call("join", ["chat", "r"])
                await check_replays(forged, frames, back, b)
                assert (heard, orders.calls) == ([5], [("b", 4)])
                assert a.cluster.refused
                assert set(a.cluster.nodes) == set(b.cluster.nodes) == {"a", "b"}
                b.cluster.send("event", 6)
                await wait_until(lambda: heard == [5, 6])


async def check_replays(forged: Forger, frames: list[tuple[bytes, bytes]], peer: Any, other: Any) -> None:
    """Replay all frames on their channels, and each on all other channels; nothing comes to a client."""
    recorded = list(frames)
    channels = {channel for channel, _ in recorded}
    for channel, frame in recorded:
        forged.publish(channel, frame)
    for channel, frame in recorded[-20:]:
        for elsewhere in channels - {channel}:
            forged.publish(elsewhere, frame)
    await asyncio.sleep(0.3)
    other.user("1").send("end")
    assert await received(peer) == []
    del frames[len(recorded) :]  # leave out the replays, but keep what is older


@pytest.mark.parametrize("options", [{"strategy": "round-robin"}, {"delivery": "redundant"}])
async def test_replays_over_several_redis_beside_the_first_message_have_no_effect(
    redis_process: RedisProcess, options: dict[str, Any]
) -> None:
    with RedisProcess() as other:
        bus = Redis([redis_process.url, other.url], prefix="several:", secret=SECRET, **options)
        async with (
            running_servers(bus, "a", "b") as (a, b),
            tapped(redis_process, bus) as one,
            tapped(other, bus) as two,
            forger(redis_process, bus) as forged,
            forger(other, bus) as forged_too,
        ):
            channel = forged.channels.user("1")
            async with client(a, "1") as peer:
                for number in range(5):
                    b.user("1").send("x", number)
                    await peer.receive("x")
            recorded = [frame for where, frame in one + two if where == channel]
            async with client(a, "1") as back:
                b.user("1").send("new")  # for a while it is held: others might have been sent before it
                for _ in range(40):
                    for frame in reversed(recorded):
                        forged.publish(channel, frame)
                        forged_too.publish(channel, frame)
                    await asyncio.sleep(0.01)
                b.user("1").send("end")
                assert await received(back) == [("new", None)]
            await asyncio.sleep(0.6)  # then a gap would have been told
            assert a.cluster.refused
            assert a.cluster.gaps == 0


async def test_a_node_that_has_died_is_not_kept_alive_by_replays(
    signed_bus: Redis, redis_process: RedisProcess
) -> None:
    async with (
        running_nodes(signed_bus, "a") as (a,),
        tapped(redis_process, signed_bus) as frames,
        forger(redis_process, signed_bus) as forged,
    ):
        async with running_nodes(signed_bus, "b"):
            await wait_until(lambda: "b" in a.nodes)
            await asyncio.sleep(2 * BEAT_INTERVAL)
        await wait_until(lambda: "b" not in a.nodes)
        joined: list[str] = []
        a.on_join(lambda info: joined.append(info.name))
        for channel, frame in list(frames):
            forged.publish(channel, frame)
        await asyncio.sleep(2 * BEAT_INTERVAL)
        assert joined == []


async def test_both_secrets_are_accepted_during_a_change(redis_bus: Redis) -> None:
    old, new = secrets.token_bytes(32), "the new secret, of 16 bytes or more"
    a = Node("a", bus=replace(redis_bus, secret=[old, new]))
    b = Node("b", bus=replace(redis_bus, secret=[new, old]))
    c = Node("c", bus=replace(redis_bus, secret=new))
    a.on("x", lambda: "a")
    b.on("x", lambda: "b")
    async with running(a, b):
        assert (await a.call("b", "x"), await b.call("a", "x")) == ("b", "a")
    async with running(b, c):
        assert await c.call("b", "x") == "b"


@pytest.mark.parametrize("other", [None, "another secret of 16 bytes"])
async def test_a_node_with_another_configuration_is_told_by_name_once(
    redis_bus: Redis, other: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (
        Node("one", bus=replace(redis_bus, secret=SECRET)),
        Node("two", bus=replace(redis_bus, secret=other)),
    )
    async with first as one, second as two:
        await asyncio.sleep(3 * BEAT_INTERVAL)
        assert (set(one.nodes), set(two.nodes)) == ({"one"}, {"two"})
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert sum("'two'" in line for line in lines) == 1
    assert sum("'one'" in line for line in lines) == 1
    assert SECRET not in caplog.text


@pytest.mark.parametrize("secret", ["", "short", b"15 bytes, no mor", [], [SECRET, "short"], 5, [5], "\ud800" * 20])
def test_a_secret_that_can_not_be_used_is_refused_and_not_shown(secret: Any) -> None:
    if secret == b"15 bytes, no mor":
        secret = secret[:15]
    with pytest.raises(ConfigError) as error:
        Redis("redis://localhost", secret=secret)
    assert SECRET not in str(error.value)
    assert "short" not in str(error.value)


def test_a_secret_is_in_no_repr_and_does_not_go_with_compat() -> None:
    redis = Redis("redis://localhost", secret=SECRET)
    assert SECRET not in repr(redis) + repr(Emitter(redis)) + str(redis)
    for compat in (True, Compat()):
        with pytest.raises(ConfigError, match="compat"):
            Redis("redis://localhost", secret=SECRET, compat=compat)


async def test_mutated_frames_have_no_effect_but_a_counter(signed_bus: Redis, redis_process: RedisProcess) -> None:
    async with (
        running_servers(signed_bus, "a", "b") as (a, b),
        client(a, "1") as peer,
        tapped(redis_process, signed_bus) as frames,
        forger(redis_process, signed_bus) as forged,
    ):
        events = RecordingHandler()
        a.cluster.on("event", events)
        b.user("1").send("x")
        b.cluster.send("event")
        await peer.receive("x")
        await wait_until(lambda: events.calls)
        await wait_until(lambda: len({frame for _, frame in frames}) > 3)
        recorded = list(frames)

        @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
        @given(st.data())
        def publish(data: st.DataObject) -> None:
            channel, frame = data.draw(st.sampled_from(recorded))
            place = data.draw(st.integers(0, min(len(frame) - 1, SIGNED_HEADER_SIZE + 8)))
            byte = bytes([frame[place] ^ data.draw(st.integers(1, 255))])
            changed = frame[:place] + byte + frame[place + 1 :]
            cut = frame[: data.draw(st.integers(0, len(frame) - 1))]
            forged.publish(channel, data.draw(st.sampled_from([changed, cut, frame + b"x", byte])))

        publish()
        await asyncio.sleep(0.3)
        b.user("1").send("end")
        assert await received(peer) == []
        assert len(events.calls) == 1
        assert set(a.cluster.nodes) == {"a", "b"}
        assert a.cluster.gaps == 0
        assert a.cluster.refused


def test_a_bus_in_memory_has_no_secret() -> None:
    assert not hasattr(MemoryBus(), "secret")
