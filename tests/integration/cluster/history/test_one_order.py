from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crosswire import ConfigError, MemoryBus, Node, Redis, UsageError
from crosswire.cluster.interface import Bus, PortEvents
from crosswire.cluster.memory import MemoryPort
from crosswire.cluster.send_buffer import Budget
from crosswire.core.targets import Excluded, ToRoom
from crosswire.types import Position
from tests.integration.cluster.history.support import Heard, HistoryNode, Told, history_nodes
from tests.support.aio import wait_until
from tests.support.members import FakeMember


async def test_all_nodes_hear_several_senders_in_the_same_order(bus: Bus) -> None:
    async with history_nodes(bus, "a", "b", "c") as (a, b, c):
        for node in (a, b):
            await node.join("chat", "1")
        for number in range(50):
            for node in (a, b, c):
                node.room("chat", "1").send("said", f"{node.name}{number}")
            await asyncio.sleep(0)

        for node in (a, b):
            await node.wait_for("chat", "1", 150)

        assert a.all("chat", "1") == b.all("chat", "1")
        assert len(a.positions("chat", "1")) == len(set(a.positions("chat", "1"))) == 150
        for sender in "abc":
            assert [each for each in a.data("chat", "1") if each[0] == sender] == [f"{sender}{n}" for n in range(50)]


async def test_a_node_that_is_alone_keeps_history_too() -> None:
    async with history_nodes(None, "a") as (a,):
        await a.join("chat", "1")
        a.room("chat", "1").send("said", 1)
        position = await a.room("chat", "1").publish("said", 2)
        page = await a.room("chat", "1").history()

        assert a.data("chat", "1") == [1, 2]
        assert a.positions("chat", "1")[-1] == position
        assert [(each.event, each.data, each.position) for each in page.messages] == [
            ("said", 1, a.positions("chat", "1")[0]),
            ("said", 2, position),
        ]
        assert page.complete


async def test_a_member_that_comes_later_finds_what_was_said_before(bus: Bus) -> None:
    async with history_nodes(bus, "a", "b") as (a, b):
        positions = [await a.room("chat", "1").publish("said", number) for number in range(5)]
        timeline = await b.join("chat", "1")
        assert timeline is not None
        assert str(timeline.position) == positions[-1]


async def test_a_second_publish_with_an_id_is_kept_and_heard_once(bus: Bus) -> None:
    async with history_nodes(bus, "a", "b") as (a, b):
        await b.join("chat", "1")
        first = await a.room("chat", "1").publish("said", "x", id="order-17")
        assert await b.room("chat", "1").publish("said", "x", id="order-17") == first
        await a.room("chat", "1").publish("said", "end")
        await b.wait_for("chat", "1", 2)
        assert b.data("chat", "1") == ["x", "end"]


async def test_pages_of_the_history(bus: Bus) -> None:
    async with history_nodes(bus, "a") as (a,):
        room = a.room("chat", "1")
        positions = [await room.publish("said", number) for number in range(10)]
        last = await room.history(limit=3)
        before = await room.history(limit=4, before=last.messages[0].position)
        first = await room.history(limit=50, before=before.messages[0].position)

        assert [each.data for each in last.messages] == [7, 8, 9]
        assert [each.data for each in before.messages] == [3, 4, 5, 6]
        assert [each.position for each in first.messages] == positions[:3]
        assert last.complete
        assert first.complete
        assert (await room.history(before=Position("00000000.7"))) == ((), False)
        assert (await a.room("chat", "empty").history()) == ((), True)


async def test_a_page_says_whether_older_messages_are_gone(bus: Bus) -> None:
    async with history_nodes(bus, "a", namespace=None) as (a,):
        a.history("short", size=3)
        for number in range(5):
            await a.room("short", "1").publish("said", number)
        page = await a.room("short", "1").history()
        assert [each.data for each in page.messages] == [2, 3, 4]
        assert not page.complete


async def test_what_is_no_page_is_refused(bus: Bus) -> None:
    async with history_nodes(bus, "a") as (a,):
        room = a.room("chat", "1")
        pages: list[dict[str, Any]] = [{"limit": 0}, {"limit": 10_001}, {"before": "x"}, {"before": 1}]
        for arguments in pages:
            with pytest.raises(UsageError):
                await room.history(**arguments)
        for id_ in ("", 1, "x" * 257):
            with pytest.raises(UsageError):
                await room.publish("said", id=id_)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="history"):
            await a.room("other", "1").publish("said")
        with pytest.raises(ConfigError, match="history"):
            await a.room("other", "1").history()


async def test_a_node_knows_what_others_declare_before_its_start_returns(bus: Bus) -> None:
    async with history_nodes(bus, "a", "b") as (a, _):
        relayed = HistoryNode("c", bus)
        await a.stop()  # b knows it all the same
        async with relayed as c:
            assert (await c.room("chat", "1").history()).complete


async def test_other_threads_send_to_rooms_that_keep_history(bus: Bus) -> None:
    async with history_nodes(bus, "a", "b") as (a, b):
        await b.join("chat", "1")

        def send() -> None:
            for number in range(20):
                a.room("chat", "1").send("said", number)

        await asyncio.to_thread(send)
        await b.wait_for("chat", "1", 20)
        assert b.data("chat", "1") == list(range(20))
        assert None not in b.positions("chat", "1")


async def test_a_server_of_a_version_without_history_gets_copies_and_others_hear_each_message_once(bus: Bus) -> None:
    async with history_nodes(bus, "a", "b", "old") as (a, b, old):
        await b.join("chat", "1")
        old._connection().histories.kept = {}
        old._connection().port.take_stray_record = lambda channel, message: True  # it can read none
        await old.join("chat", "1")
        a._connection().members.lack_history = True

        for number in range(5):
            a.room("chat", "1").send("said", number)
        for node in (b, old):
            await node.wait_for("chat", "1", 5)
        held = b._connection().histories.of_rooms._held
        await wait_until(lambda: len(held) == 0)

        assert b.data("chat", "1") == old.data("chat", "1") == list(range(5))
        assert None not in b.positions("chat", "1")
        assert b.told("chat", "1") == []


async def test_excluded_users_and_sockets_stay_with_a_kept_message(bus: Bus) -> None:
    async with history_nodes(bus, "a", "b") as (a, b):
        timeline = await b.join("chat", "1")
        assert timeline is not None
        a.room("chat", "1").send("said", 1, exclude=["13", FakeMember("14")])
        await b.wait_for("chat", "1", 1)
        recovery = timeline.recover(None, rewind=1, now=0, max_bytes=1000)
        assert [kept.excluded for kept in recovery.messages] == [Excluded(("13",), ("socket of 14",), ("14",))]


async def test_rooms_of_other_namespaces_keep_nothing(bus: Bus) -> None:
    async with history_nodes(bus, "a", "b") as (a, b):
        await b.join("other", "1")
        a.room("other", "1").send("said", 1)
        await b.wait_for("other", "1", 1)
        assert b.all("other", "1") == [Heard(1, None)]


async def test_a_declaration_while_nodes_run_holds_for_rooms_with_members(bus: Bus) -> None:
    async with history_nodes(bus, "a", "b", namespace=None) as (a, b):
        for node in (a, b):
            await node.join("chat", "1")
        a.room("chat", "1").send("said", "before")
        for node in (a, b):
            await node.wait_for("chat", "1", 1)

        a.history("chat")
        await wait_until(lambda: all(node.told("chat", "1") for node in (a, b)))
        a.room("chat", "1").send("said", "after")
        for node in (a, b):
            await node.wait_for("chat", "1", 2)

        for node in (a, b):
            before, told, after = node.all("chat", "1")
            assert before == Heard("before", None)
            assert isinstance(told, Told)
            assert told.reason is None
            assert isinstance(after, Heard)
            assert after.at is not None


async def test_two_nodes_that_declare_differently_keep_the_larger(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    async with history_nodes(bus, "a", "b", namespace=None) as (a, b):
        a.history("chat", size=2, ttl=100)
        b.history("chat", size=5, ttl=10)
        await wait_until(lambda: len([each for each in caplog.records if "the larger" in each.getMessage()]) == 2)
        for number in range(7):
            await a.room("chat", "1").publish("said", number)
        assert [each.data for each in (await b.room("chat", "1").history()).messages] == [2, 3, 4, 5, 6]


async def test_a_message_of_a_log_comes_to_a_node_that_does_not_know_yet(bus: Bus) -> None:
    async with history_nodes(bus, "a", "b", namespace=None) as (a, b):
        await b.join("chat", "1")
        a.history("chat")
        a.room("chat", "1").send("said", 1)  # perhaps before b has heard of it
        await b.wait_for("chat", "1", 1)
        a.room("chat", "1").send("said", 2)
        await b.wait_for("chat", "1", 2)
        assert b.data("chat", "1") == [1, 2]


async def test_what_a_node_sends_that_does_not_know_voids_positions(bus: Bus) -> None:
    async with history_nodes(bus, "a", "b") as (a, b):
        timeline = await a.join("chat", "1")
        assert timeline is not None
        position = timeline.position
        b._connection().histories.kept = {}  # as long as b does not know

        b.room("chat", "1").send("said", "unknown")
        await a.wait_for("chat", "1", 1)
        assert a.all("chat", "1")[0] == Heard("unknown", None)
        await wait_until(lambda: bool(a.told("chat", "1")), 20)

        assert a.told("chat", "1")[0].reason == "epoch"
        assert timeline.position is not None
        assert position is not None
        assert timeline.position.epoch != position.epoch


async def test_history_with_original_servers_is_refused() -> None:
    node = Node("a", redis=Redis("redis://127.0.0.1:1", compat=True))
    with pytest.raises(ConfigError, match="compat"):
        node.history("chat")


class PortWithoutLog(MemoryPort):
    """A port of a bus that has no logs."""

    open_log = None  # type: ignore[assignment]


class BusWithoutLog(MemoryBus):
    """A bus that has no logs."""

    def attach(self, events: PortEvents, name: str, origin: bytes, budget: Budget) -> MemoryPort:
        return PortWithoutLog(self, events)


async def test_history_over_a_bus_without_logs_is_refused() -> None:
    node = Node("a", bus=BusWithoutLog())
    node.history("chat")
    with pytest.raises(ConfigError, match="open_log"):
        await node.start()

    async with Node("b", bus=BusWithoutLog()) as running:
        with pytest.raises(ConfigError, match="open_log"):
            running.history("chat")


async def test_rooms_are_compared_with_a_log_that_can_be_reached_again() -> None:
    bus = MemoryBus()
    async with history_nodes(bus, "a", "b") as (a, b):
        await b.join("chat", "1")
        (channel,) = (each for each in bus.ports if each.endswith(b"chat1"))
        listeners, bus.ports[channel] = bus.ports[channel], {}
        await a.room("chat", "1").publish("said", 1)
        bus.ports[channel] = listeners

        b._connection().histories.of_rooms.holder_changed("memory")
        await b.wait_for("chat", "1", 1)
        assert b.data("chat", "1") == [1]


async def test_what_waits_at_a_stop_is_kept(bus: Bus) -> None:
    async with history_nodes(bus, "a") as (a,):
        b = HistoryNode("b", bus)
        await b.start()
        for number in range(100):
            b.room("chat", "1").send("said", number)
        await b.stop()
        page = await a.room("chat", "1").history(limit=1000)
        assert [each.data for each in page.messages] == list(range(100))


def test_a_room_is_named_in_its_repr() -> None:
    assert "chat" in repr(Node("a").room("chat", "1"))
    assert ToRoom("chat", "1") == Node("a").room("chat", "1").target
