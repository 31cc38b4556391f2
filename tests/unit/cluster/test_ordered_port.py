from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

import pytest

from crosswire.cluster.interface import PortEvents, Receive
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.cluster.send_buffer import Budget, Overflow
from crosswire.core.envelopes import HEADER_SIZE, ClientBatch, ClientMessage, encode, join, unpack_header
from crosswire.errors import BusUnavailable
from crosswire.types import GapInfo
from tests.support.ignored_events import IgnoredPortEvents

ORIGIN = b"12345678"
MESSAGES = [encode(ClientMessage(b"%d" % number)) for number in range(3)]


class FakePort:
    """A bus and its only port: takes messages, and acknowledges none."""

    prefix = "cw:"
    reorders = False
    hold_time = 0.0
    available = True
    paths = ("a",)
    sent: list[tuple[bytes, bytes, bytes]]

    def __init__(self, *, buffer: int = 10_000, overflow: Overflow = "drop") -> None:
        self.buffer = buffer
        self.overflow: Overflow = overflow
        self.connected = True
        self.sent = []
        self.receivers: dict[bytes, Receive] = {}

    def attach(self, events: PortEvents, name: str, origin: bytes, budget: Budget) -> FakePort:
        self.events = events
        self.budget = budget
        return self

    async def start(self) -> None:
        self.events.resume_publishing()

    async def stop(self) -> None: ...

    def use_paths(self, common: Collection[str] | None) -> None: ...

    def publish(self, channel: bytes, header: bytes, body: bytes) -> None:
        self.budget.free -= len(channel) + len(header) + len(body)
        self.sent.append((channel, header, body))

    def publish_plain(self, channel: bytes, body: bytes) -> None:
        self.publish(channel, b"", body)

    def announce(self, channel: bytes, header: bytes, body: bytes) -> bool:
        if self.connected:
            self.publish(channel, header, body)
        return self.connected

    def subscribe(self, channel: bytes, receive: Receive) -> None:
        self.receivers[channel] = receive

    def unsubscribe(self, channel: bytes) -> None:
        del self.receivers[channel]

    def is_listening(self, channel: bytes) -> bool:
        return channel in self.receivers

    async def wait_listening(self, channel: bytes) -> None: ...

    async def count_listeners(self, channel: bytes) -> int | None:
        return None

    @property
    def numbers(self) -> list[tuple[bytes, int, int]]:
        """Channel, number and number before it of each message that has a header."""
        return [(channel, *unpack_header(header)[1:]) for channel, header, _ in self.sent if header]

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, _, body in self.sent]


class Gaps(IgnoredPortEvents):
    """Callbacks that record the gaps."""

    def __init__(self) -> None:
        self.gaps: list[GapInfo] = []

    def gap(self, info: GapInfo) -> None:
        self.gaps.append(info)


def make(bus: FakePort, *, started: bool = True) -> OrderedPort:
    port = OrderedPort(bus, Gaps(), "node", ORIGIN)
    if started:
        bus.events.resume_publishing()
    return port


def test_messages_carry_the_number_of_the_one_before_them_on_their_channel() -> None:
    bus = FakePort()
    port = make(bus)
    for channel in (b"a", b"b", b"a"):
        port.publish(channel, b"x")
    port.publish(b"a", b"plain", plain=True)
    port.announce(b"a", b"x")
    assert bus.numbers == [(b"a", 1, 0), (b"b", 2, 0), (b"a", 3, 1), (b"a", 4, 3)]
    assert bus.sent[3] == (b"a", b"", b"plain")


def test_messages_published_before_the_bus_is_ready_come_first() -> None:
    bus = FakePort()
    port = make(bus, started=False)
    port.publish(b"a", b"1")
    port.publish(b"a", b"2", plain=True)
    assert bus.sent == []
    bus.events.resume_publishing()
    port.publish(b"a", b"3")
    bus.events.pause_publishing()
    port.publish(b"a", b"4")
    assert bus.bodies == [b"1", b"2", b"3"]
    bus.events.resume_publishing()
    assert bus.bodies == [b"1", b"2", b"3", b"4"]


def test_an_announcement_that_reaches_nobody_is_not_missed() -> None:
    bus = FakePort()
    port = make(bus)
    port.publish(b"a", b"1")
    bus.connected = False
    port.announce(b"a", b"2")
    port.publish(b"a", b"3")
    assert bus.numbers == [(b"a", 1, 0), (b"a", 3, 1)]


@pytest.mark.parametrize("paused", [True, False])
def test_over_the_limit_messages_are_dropped_and_counted_and_it_is_logged_why(
    paused: bool, caplog: pytest.LogCaptureFixture
) -> None:
    bus = FakePort(buffer=5000)
    port = make(bus, started=not paused)
    with caplog.at_level(logging.WARNING):
        for _ in range(60):
            port.publish(b"c", b"x" * 100)
        port.publish(b"c", b"x" * 4000, plain=True)
    assert 15 < port.dropped < 45
    assert 0 <= bus.budget.free < 250
    assert ("can't be reached" if paused else "keep up") in caplog.text


def test_the_receivers_find_out_that_a_message_was_dropped() -> None:
    bus = FakePort(buffer=1000)
    port = make(bus)
    port.publish(b"c", b"x" * 800)
    port.publish(b"c", b"x" * 800)
    bus.budget.free = bus.budget.limit
    port.publish(b"c", b"x")
    assert bus.numbers == [(b"c", 1, 0), (b"c", 3, 2)]


def test_with_the_policy_raise_no_number_is_missed_over_the_limit() -> None:
    bus = FakePort(buffer=1000, overflow="raise")
    port = make(bus, started=False)
    port.publish(b"c", b"x" * 500)
    for plain in (False, True):
        with pytest.raises(BusUnavailable, match="other nodes can't be reached"):
            port.publish(b"c", b"x" * 900, plain=plain)
    assert not port.dropped
    bus.events.resume_publishing()
    bus.budget.free = bus.budget.limit
    port.publish(b"c", b"x")
    assert bus.numbers == [(b"c", 1, 0), (b"c", 2, 1)]


def test_a_message_larger_than_the_limit_is_taken_if_nothing_waits() -> None:
    bus = FakePort(buffer=1000)
    port = make(bus)
    port.publish(b"c", b"x" * 5000)
    port.publish(b"c", b"2")
    assert ([len(body) for body in bus.bodies], port.dropped) == ([5000], 1)


async def test_messages_of_a_turn_share_a_number_and_leave_at_its_end() -> None:
    bus = FakePort()
    port = make(bus)
    for body in MESSAGES:
        port.publish_joined(b"a", body, ClientBatch)
    assert (bus.sent, port.published) == ([], 3)
    await asyncio.sleep(0)
    assert bus.numbers == [(b"a", 1, 0)]
    assert bus.bodies == [join(ClientBatch, MESSAGES)]
    assert port.published == 3


async def test_whatever_else_is_published_comes_behind_the_messages_that_wait() -> None:
    bus = FakePort()
    port = make(bus)
    port.publish_joined(b"a", MESSAGES[0], ClientBatch)
    port.publish(b"b", b"x")
    port.publish_joined(b"a", MESSAGES[1], ClientBatch)
    port.announce(b"a", b"y")
    port.publish_joined(b"a", MESSAGES[2], ClientBatch)
    port.publish(b"a", b"z", plain=True)
    port.publish_joined(b"a", b"last", ClientBatch)
    await port.stop()
    assert bus.bodies == [MESSAGES[0], b"x", MESSAGES[1], b"y", MESSAGES[2], b"z", b"last"]
    assert bus.numbers == [(b"a", 1, 0), (b"b", 2, 0), (b"a", 3, 1), (b"a", 4, 3), (b"a", 5, 4), (b"a", 6, 5)]


async def test_messages_are_published_one_by_one_while_a_member_reads_no_batches() -> None:
    bus = FakePort()
    port = make(bus)
    port.publish_joined(b"a", MESSAGES[0], ClientBatch)
    port.joins = False
    port.publish_joined(b"a", MESSAGES[1], ClientBatch)
    assert bus.bodies == [*MESSAGES[:2]]


async def test_messages_that_wait_for_the_end_of_the_turn_count_against_the_limit() -> None:
    port = make(bus := FakePort(buffer=200, overflow="raise"))
    port.publish_joined(b"a", b"x" * 60, ClientBatch)
    with pytest.raises(BusUnavailable):
        port.publish_joined(b"a", b"x" * 60, ClientBatch)
    port = make(bus := FakePort(buffer=200))
    for _ in range(3):
        port.publish_joined(b"a", b"x" * 60, ClientBatch)
    await asyncio.sleep(0)
    assert (len(bus.sent), port.dropped) == (1, 2)
    port.publish(b"a", b"y")
    assert bus.numbers[-1] == (b"a", 4, 3)  # receivers find out that messages are missing


class PromptPort(FakePort):
    """A bus that takes each message at once, so that none waits in it."""

    def publish(self, channel: bytes, header: bytes, body: bytes) -> None:
        self.sent.append((channel, header, body))


@pytest.mark.parametrize("overflow", ["drop", "raise"])
async def test_messages_of_a_turn_take_no_room_of_further_ones_where_the_bus_takes_them_at_once(
    overflow: Overflow,
) -> None:
    port = make(bus := PromptPort(buffer=300, overflow=overflow))
    for channel in (b"a", b"b", b"a"):
        port.publish_joined(channel, b"x" * 150, ClientBatch)
    port.publish_joined(b"b", b"x" * 500, ClientBatch)  # larger than the limit, and nothing else has to wait
    port.publish_joined(b"b", b"y" * 150, ClientBatch)
    port.require_room([150])
    port.publish_joined(b"b", b"z" * 150, ClientBatch)
    assert port.reserve(150)
    await port.stop()
    assert [len(body) for body in bus.bodies] == [150, 150, 150, 500, 150, 150]
    assert port.dropped == 0


async def test_while_the_bus_is_away_each_message_waits_for_itself() -> None:
    port = make(bus := FakePort(), started=False)
    for body in MESSAGES:
        port.publish_joined(b"a", body, ClientBatch)
    bus.events.resume_publishing()
    assert bus.bodies == MESSAGES


async def test_a_batch_that_is_lost_counts_as_all_its_messages() -> None:
    port = make(bus := FakePort())
    for body in MESSAGES:
        port.publish_joined(b"a", body, ClientBatch)
    port.pause_publishing()
    await port.stop()
    assert (bus.sent, port.dropped) == ([], 3)


async def test_after_the_stop_messages_are_dropped() -> None:
    bus = FakePort()
    port = make(bus, started=False)
    port.publish(b"c", b"1")
    await port.stop()
    port.publish(b"c", b"2")
    assert (bus.sent, port.dropped) == ([], 2)


async def test_messages_are_delivered_once_and_a_gap_names_its_channel() -> None:
    sender, bus = FakePort(), FakePort()
    publishing = OrderedPort(sender, Gaps(), "other", b"other...")
    sender.events.resume_publishing()
    events = Gaps()
    port = OrderedPort(bus, events, "node", ORIGIN)
    got: list[bytes] = []
    port.subscribe(b"c", got.append)
    for body in (b"1", b"2", b"3"):
        publishing.publish(b"c", body)
    first, _, third = [header + body for _, header, body in sender.sent]
    for message in (first, first, third, b"no header"):
        bus.receivers[b"c"](message)
    assert got == [b"1", b"3"]
    assert (port.gaps, port.unreadable) == (1, 1)
    assert [gap.channel for gap in events.gaps] == ["c"]
    assert len(first) == HEADER_SIZE + 1
    port.unsubscribe(b"c")
    assert bus.receivers == {}
    await port.stop()


def test_a_failing_gap_callback_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(IgnoredPortEvents):
        def gap(self, info: GapInfo) -> None:
            raise ValueError(info)

    bus = FakePort()
    port = OrderedPort(bus, Failing(), "node", ORIGIN)
    with caplog.at_level(logging.ERROR):
        bus.events.gap(GapInfo("", 0, 0))
    assert port.gaps == 1
    assert "reporting a gap failed" in caplog.text
