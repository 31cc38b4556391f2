from __future__ import annotations

import time

from crosswire import Redis
from crosswire.core import envelopes
from crosswire.core.channel_names import Channels
from crosswire.core.envelopes import ClientMessage
from crosswire.core.log_records import pack_record, pack_sender
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.history.support import HistoryNode, history_nodes
from tests.support.aio import wait_until

SECRET = "a secret of more than 16 bytes"


async def test_signed_messages_are_kept_and_heard(redis_bus: Redis) -> None:
    bus = Redis(redis_bus.urls, prefix=redis_bus.prefix, secret=SECRET)
    async with history_nodes(bus, "a", "b") as (a, b):
        await b.join("chat", "1")
        position = await a.room("chat", "1").publish("said", 1)
        await b.wait_for("chat", "1", 1)
        assert b.positions("chat", "1") == [position]
        assert [each.data for each in (await b.room("chat", "1").history()).messages] == [1]


async def test_a_record_that_is_not_signed_is_refused_when_it_comes(
    redis_bus: Redis, redis_process: RedisProcess
) -> None:
    bus = Redis(redis_bus.urls, prefix=redis_bus.prefix, secret=SECRET)
    async with history_nodes(bus, "a", "b") as (a, b):
        timeline = await b.join("chat", "1")
        await a.room("chat", "1").publish("said", 1)
        await b.wait_for("chat", "1", 1)
        assert timeline is not None
        assert timeline.position is not None
        refused = b.refused
        body = envelopes.encode(ClientMessage(b'{"event":"said","payload":"forged"}'))
        sent = pack_sender(b"attacker", 1) + body
        record = pack_record(timeline.position.epoch, 2, int(time.time() * 1000), sent)
        redis_process.command("PUBLISH", Channels(bus.prefix).room("chat", "1"), record)
        await wait_until(lambda: b.refused > refused)

        await a.room("chat", "1").publish("said", 2)
        await b.wait_for("chat", "1", 2)
        assert b.data("chat", "1") == [1, 2]
        assert b.told("chat", "1") == []


async def test_what_is_not_signed_is_refused_in_reads_too(redis_bus: Redis) -> None:
    bus = Redis(redis_bus.urls, prefix=redis_bus.prefix, secret=SECRET)
    other = HistoryNode("other", redis_bus)
    other.history("chat")
    async with history_nodes(bus, "a") as (a,), other:
        await a.room("chat", "1").publish("said", 1)
        await other.room("chat", "1").publish("said", "not signed")
        await a.room("chat", "1").publish("said", 2)

        page = await a.room("chat", "1").history()
        assert [each.data for each in page.messages] == [1, 2]
        await a.join("chat", "1")
        await a.room("chat", "1").publish("said", 3)
        await a.wait_for("chat", "1", 1)
        assert a.data("chat", "1") == [3]


async def test_a_message_of_another_room_is_refused(redis_bus: Redis, redis_process: RedisProcess) -> None:
    bus = Redis(redis_bus.urls, prefix=redis_bus.prefix, secret=SECRET)
    async with history_nodes(bus, "a", "b") as (a, b):
        timeline = await b.join("chat", "1")
        assert timeline is not None
        assert timeline.position is not None
        signed = a._connection().histories._bodies
        channels = Channels(bus.prefix)
        kept = envelopes.encode(ClientMessage(b'{"event":"said","payload":"secret"}'))
        assert signed._signer is not None
        origin = bytes.fromhex(a.incarnation)
        body = signed._signer.sign(channels.room("chat", "2"), origin, 1, kept)
        record = pack_record(timeline.position.epoch, 1, 0, pack_sender(origin, 1) + body)
        refused = b.refused
        redis_process.command("PUBLISH", channels.room("chat", "1"), record)
        await wait_until(lambda: b.refused > refused)
        assert b.data("chat", "1") == []
