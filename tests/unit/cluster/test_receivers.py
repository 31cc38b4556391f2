from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from time import monotonic, thread_time

import pytest

from crosswire.cluster.interface import Receive
from crosswire.cluster.receivers import Receivers
from crosswire.core.envelopes import pack_header
from tests.support.aio import wait_until

OWN, OTHER, THIRD = b"own.....", b"other...", b"third..."
CHANNEL = b"c"


class ReceiversUnderTest:
    """Receivers, the messages that they handed on, and what they reported."""

    def __init__(self, *, hold_time: float = 0.05, reorders: bool = False) -> None:
        self.hold_time = hold_time
        self.reorders = reorders
        self.receivers = Receivers(OWN, self, self)
        self.takes: dict[bytes, Receive] = {}
        self.got: list[bytes] = []
        self.unreadable = 0
        self.strays: list[tuple[bytes, bytes]] = []
        self.missed: list[float] = []
        self.missed_on: list[set[bytes]] = []
        self.open(CHANNEL, self.got.append)

    def open(self, channel: bytes, receive: Receive, *, plain: bool = False) -> None:
        self.takes[channel] = self.receivers.open(channel, receive, plain=plain)

    def message_unreadable(self, message: bytes) -> None:
        self.unreadable += 1

    def record_came(self, channel: bytes, message: bytes) -> None:
        self.strays.append((channel, message))

    def messages_missed(self, channels: Collection[bytes], since: float) -> None:
        self.missed.append(since)
        self.missed_on.append(set(channels))

    def take(self, number: int, previous: int, *, origin: bytes = OTHER, channel: bytes = CHANNEL) -> None:
        self.take_bytes(pack_header(origin, number, previous) + b"%d" % number, channel)

    def take_bytes(self, message: bytes, channel: bytes = CHANNEL) -> None:
        self.takes[channel](message)


async def test_bodies_are_handed_on_in_order_and_once() -> None:
    tested = ReceiversUnderTest()
    for number, previous in ((1, 0), (1, 0), (3, 2), (2, 1), (3, 2), (4, 3)):
        tested.take(number, previous)
    assert tested.got == [b"1", b"2", b"3", b"4"]
    tested.receivers.clear()


def test_a_plain_channel_passes_every_message() -> None:
    tested = ReceiversUnderTest()
    tested.open(b"plain", tested.got.append, plain=True)
    for message in (b"", b"x", b"x"):
        tested.take_bytes(message, b"plain")
    assert tested.got == [b"", b"x", b"x"]


async def test_a_receiver_that_fails_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)

    def fail(body: bytes) -> None:
        raise ValueError(body)

    tested = ReceiversUnderTest()
    tested.open(CHANNEL, fail)
    tested.open(b"plain", fail, plain=True)
    tested.take(1, 0)
    tested.take_bytes(b"2", b"plain")
    tested.take(3, 2)
    tested.take(2, 1)
    assert [record.exc_info is not None for record in caplog.records] == [True] * 4
    tested.receivers.clear()


async def test_with_one_path_a_missing_message_is_not_waited_for() -> None:
    tested = ReceiversUnderTest(hold_time=0)
    tested.take(1, 0)
    tested.take(3, 2)
    tested.take(4, 3)
    assert tested.got == [b"1", b"3", b"4"]
    assert len(tested.missed) == 1


@pytest.mark.parametrize("hold_time", [0, 0.05])
async def test_a_gap_begins_with_the_last_message_before_it(hold_time: float) -> None:
    tested = ReceiversUnderTest(hold_time=hold_time)
    tested.take(1, 0)
    came = monotonic()
    await wait_until(lambda: monotonic() > came)
    tested.take(3, 2)
    await wait_until(lambda: tested.missed)
    assert tested.missed[0] <= came


async def test_with_several_paths_a_missing_message_is_waited_for() -> None:
    tested = ReceiversUnderTest(hold_time=0.05)
    began = monotonic()
    tested.take(1, 0)
    tested.take(3, 2)
    assert tested.got == [b"1"]
    await wait_until(lambda: tested.got == [b"1", b"3"])
    assert monotonic() - began >= 0.05
    assert len(tested.missed) == 1


async def test_a_message_that_comes_in_time_is_not_missed() -> None:
    tested = ReceiversUnderTest(hold_time=0.02)
    tested.take(1, 0)
    tested.take(3, 2)
    tested.take(2, 1)
    tested.take(1, 0, origin=THIRD)
    tested.take(3, 2, origin=THIRD)
    await wait_until(lambda: tested.missed)
    assert tested.got == [b"1", b"2", b"3", b"1", b"3"]
    assert len(tested.missed) == 1


async def test_missing_messages_of_many_channels_are_reported_together() -> None:
    tested = ReceiversUnderTest(hold_time=0.02)
    channels = [b"%d" % index for index in range(10)]
    for channel in channels:
        tested.open(channel, tested.got.append)
        tested.take(1, 0, channel=channel)
        tested.take(3, 2, channel=channel)
    await wait_until(lambda: len(tested.got) == 20)
    assert len(tested.missed) < 10
    assert set().union(*tested.missed_on) == set(channels)


async def test_the_first_message_of_a_sender_may_wait_but_is_not_missed() -> None:
    tested = ReceiversUnderTest(reorders=True, hold_time=10)
    tested.take(5, 3)
    assert tested.got == []
    await wait_until(lambda: tested.got == [b"5"])
    assert tested.missed == []


async def test_a_message_from_before_the_first_that_comes_too_late_is_missed() -> None:
    tested = ReceiversUnderTest(reorders=True)
    before = monotonic()
    tested.take(5, 3)
    await wait_until(lambda: tested.got == [b"5"])
    tested.take(3, 0)
    tested.take(3, 0)
    assert tested.got == [b"5"]
    assert len(tested.missed) == 1
    assert tested.missed[0] < before


async def test_too_many_waiting_messages_are_passed_at_once() -> None:
    tested = ReceiversUnderTest(hold_time=100)
    tested.take(1, 0)
    for number in range(3, 1004):
        tested.take(number, number - 1)
    assert len(tested.got) == 1002
    assert len(tested.missed) == 1


async def test_a_new_receiver_continues_where_the_old_one_was() -> None:
    tested = ReceiversUnderTest()
    later: list[bytes] = []
    tested.take(1, 0)
    tested.take(3, 2)
    tested.open(CHANNEL, later.append)
    tested.take(1, 0)
    tested.take(2, 1)
    assert (tested.got, later) == ([b"1"], [b"2", b"3"])
    tested.receivers.clear()


async def test_a_waiting_message_is_not_passed_after_the_channel_is_closed() -> None:
    tested = ReceiversUnderTest(hold_time=0.01)
    tested.take(1, 0)
    tested.take(3, 2)
    tested.receivers.close(CHANNEL)
    tested.take(2, 1)
    await asyncio.sleep(0.03)  # as long as it would have waited
    assert tested.got == [b"1"]
    assert tested.missed == []


async def test_a_receiver_may_close_its_channel_between_two_messages() -> None:
    tested = ReceiversUnderTest()
    got: list[bytes] = []

    def receive(body: bytes) -> None:
        got.append(body)
        if body == b"2":
            tested.receivers.close(CHANNEL)

    tested.open(CHANNEL, receive)
    for number, previous in ((1, 0), (4, 3), (3, 2), (2, 1)):
        tested.take(number, previous)
    assert got == [b"1", b"2"]
    tested.receivers.clear()


def test_a_closed_channel_hands_on_nothing() -> None:
    tested = ReceiversUnderTest()
    tested.receivers.close(CHANNEL)
    tested.take(1, 0)
    assert tested.got == []


async def test_a_forgotten_sender_counts_anew() -> None:
    tested = ReceiversUnderTest()
    tested.take(7, 0)
    tested.take(9, 8)
    tested.receivers.forget(OTHER)
    tested.take(1, 0)
    assert tested.got == [b"7", b"1"]
    tested.receivers.clear()


def stand_still(seconds: float) -> None:
    """Block the event loop, as a process does that is given no time."""
    until = monotonic() + seconds
    while monotonic() < until:
        pass


async def test_a_process_that_stood_still_reads_its_sockets_first() -> None:
    tested = ReceiversUnderTest(hold_time=0.01)
    tested.take(1, 0)
    tested.take(3, 2)

    def stall() -> None:
        stand_still(0.3)
        asyncio.get_running_loop().call_later(0.01, tested.take, 2, 1)  # it arrived during the standstill

    asyncio.get_running_loop().call_soon(stall)
    await wait_until(lambda: len(tested.got) == 3)
    assert tested.got == [b"1", b"2", b"3"]
    assert tested.missed == []


async def test_after_a_standstill_all_sockets_are_read_before_a_message_is_given_up() -> None:
    tested = ReceiversUnderTest(hold_time=0.01)
    tested.take(1, 0)
    tested.take(3, 2)
    stand_still(0.3)
    tested.take(4, 3)
    tested.take(2, 1)
    assert tested.got == [b"1", b"2", b"3", b"4"]
    assert tested.missed == []


async def test_after_a_standstill_a_missing_message_is_given_up_even_under_load() -> None:
    tested = ReceiversUnderTest(hold_time=0.01)
    tested.take(1, 0)
    tested.take(3, 2)
    stand_still(0.3)
    for number in range(4, 900):  # fewer than would be handed on because they are too many
        tested.take(number, number - 1)
        if tested.missed:
            break
        await asyncio.sleep(0.001)
    assert tested.got[:3] == [b"1", b"3", b"4"]
    assert len(tested.missed) == 1


async def test_a_gap_costs_the_same_however_many_senders_are_known() -> None:
    under_test, gaps = ReceiversUnderTest(hold_time=0), 500
    for sender in range(10_000):
        under_test.take(1, 0, origin=b"%08d" % sender)
    began = thread_time()
    for number in range(3, 3 * gaps, 3):
        under_test.take(number, number - 1, origin=b"00009999")
    assert len(under_test.missed) == gaps - 1
    assert thread_time() - began < 0.5  # it was 2 s when all senders were looked at
