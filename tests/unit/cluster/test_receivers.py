from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from time import monotonic

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
        self.refused = 0
        self.missed: list[float] = []
        self.missed_on: list[set[bytes]] = []
        self.open(CHANNEL, self.got.append)

    def open(self, channel: bytes, receive: Receive, *, plain: bool = False) -> None:
        self.takes[channel] = self.receivers.open(channel, receive, plain=plain)

    def message_refused(self) -> None:
        self.refused += 1

    def messages_missed(self, channels: Collection[bytes], since: float) -> None:
        self.missed.append(since)
        self.missed_on.append(set(channels))

    def take(self, number: int, previous: int, *, origin: bytes = OTHER, channel: bytes = CHANNEL) -> None:
        self.take_bytes(pack_header(origin, number, previous) + b"%d" % number, channel)

    def take_bytes(self, message: bytes, channel: bytes = CHANNEL) -> None:
        self.takes[channel](message)


async def test_bodies_are_handed_on_in_order_and_once() -> None:
    scene = ReceiversUnderTest()
    for number, previous in ((1, 0), (1, 0), (3, 2), (2, 1), (3, 2), (4, 3)):
        scene.take(number, previous)
    assert scene.got == [b"1", b"2", b"3", b"4"]
    scene.receivers.clear()


def test_our_own_messages_are_not_for_us() -> None:
    scene = ReceiversUnderTest()
    scene.take(1, 0, origin=OWN)
    assert scene.got == []


@pytest.mark.parametrize("message", [b"", b"x", b"\x01" * 24, b"\x09" + bytes(24), b"\xff" * 100])
def test_what_has_no_header_is_counted(message: bytes) -> None:
    scene = ReceiversUnderTest()
    scene.take_bytes(message)
    assert (scene.got, scene.refused) == ([], 1)


def test_a_plain_channel_hands_on_everything() -> None:
    scene = ReceiversUnderTest()
    scene.open(b"plain", scene.got.append, plain=True)
    for message in (b"", b"x", b"x"):
        scene.take_bytes(message, b"plain")
    assert scene.got == [b"", b"x", b"x"]


async def test_who_fails_is_reported_and_nothing_else_happens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)

    def fail(body: bytes) -> None:
        raise ValueError(body)

    scene = ReceiversUnderTest()
    scene.open(CHANNEL, fail)
    scene.open(b"plain", fail, plain=True)
    scene.take(1, 0)
    scene.take_bytes(b"2", b"plain")
    scene.take(3, 2)
    scene.take(2, 1)
    assert [record.exc_info is not None for record in caplog.records] == [True] * 4
    scene.receivers.clear()


async def test_with_one_path_a_missing_message_is_not_waited_for() -> None:
    scene = ReceiversUnderTest(hold_time=0)
    scene.take(1, 0)
    scene.take(3, 2)
    scene.take(4, 3)
    assert scene.got == [b"1", b"3", b"4"]
    assert len(scene.missed) == 1


@pytest.mark.parametrize("hold_time", [0, 0.05])
async def test_it_is_missing_since_the_last_message_before_it_came(hold_time: float) -> None:
    scene = ReceiversUnderTest(hold_time=hold_time)
    scene.take(1, 0)
    came = monotonic()
    await wait_until(lambda: monotonic() > came)
    scene.take(3, 2)
    await wait_until(lambda: scene.missed)
    assert scene.missed[0] <= came


async def test_with_several_paths_it_is_waited_for() -> None:
    scene = ReceiversUnderTest(hold_time=0.05)
    began = monotonic()
    scene.take(1, 0)
    scene.take(3, 2)
    assert scene.got == [b"1"]
    await wait_until(lambda: scene.got == [b"1", b"3"])
    assert monotonic() - began >= 0.05
    assert len(scene.missed) == 1


async def test_what_comes_in_time_is_not_missed() -> None:
    scene = ReceiversUnderTest(hold_time=0.02)
    scene.take(1, 0)
    scene.take(3, 2)
    scene.take(2, 1)
    scene.take(1, 0, origin=THIRD)
    scene.take(3, 2, origin=THIRD)
    await wait_until(lambda: scene.missed)
    assert scene.got == [b"1", b"2", b"3", b"1", b"3"]
    assert len(scene.missed) == 1


async def test_what_is_missing_on_many_channels_is_found_together() -> None:
    scene = ReceiversUnderTest(hold_time=0.02)
    channels = [b"%d" % index for index in range(10)]
    for channel in channels:
        scene.open(channel, scene.got.append)
        scene.take(1, 0, channel=channel)
        scene.take(3, 2, channel=channel)
    await wait_until(lambda: len(scene.got) == 20)
    assert len(scene.missed) < 10
    assert set().union(*scene.missed_on) == set(channels)


async def test_the_first_message_of_a_sender_may_wait_but_is_not_missed() -> None:
    scene = ReceiversUnderTest(reorders=True, hold_time=10)
    scene.take(5, 3)
    assert scene.got == []
    await wait_until(lambda: scene.got == [b"5"])
    assert scene.missed == []


async def test_what_was_sent_before_the_first_that_was_handed_on_and_comes_too_late_is_missed() -> None:
    scene = ReceiversUnderTest(reorders=True)
    before = monotonic()
    scene.take(5, 3)
    await wait_until(lambda: scene.got == [b"5"])
    scene.take(3, 0)
    scene.take(3, 0)
    assert scene.got == [b"5"]
    assert len(scene.missed) == 1
    assert scene.missed[0] < before


async def test_too_many_that_wait_are_handed_on_at_once() -> None:
    scene = ReceiversUnderTest(hold_time=100)
    scene.take(1, 0)
    for number in range(3, 1004):
        scene.take(number, number - 1)
    assert len(scene.got) == 1002
    assert len(scene.missed) == 1


async def test_a_new_receiver_goes_on_where_the_one_before_was() -> None:
    scene = ReceiversUnderTest()
    later: list[bytes] = []
    scene.take(1, 0)
    scene.take(3, 2)
    scene.open(CHANNEL, later.append)
    scene.take(1, 0)
    scene.take(2, 1)
    assert (scene.got, later) == ([b"1"], [b"2", b"3"])
    scene.receivers.clear()


async def test_nothing_is_handed_on_after_the_end_even_if_it_waited() -> None:
    scene = ReceiversUnderTest(hold_time=0.01)
    scene.take(1, 0)
    scene.take(3, 2)
    scene.receivers.close(CHANNEL)
    scene.take(2, 1)
    await asyncio.sleep(0.03)  # as long as it would have waited
    assert scene.got == [b"1"]
    assert scene.missed == []


async def test_a_receiver_may_end_it_while_several_are_handed_on() -> None:
    scene = ReceiversUnderTest()
    got: list[bytes] = []

    def receive(body: bytes) -> None:
        got.append(body)
        if body == b"2":
            scene.receivers.close(CHANNEL)

    scene.open(CHANNEL, receive)
    for number, previous in ((1, 0), (4, 3), (3, 2), (2, 1)):
        scene.take(number, previous)
    assert got == [b"1", b"2"]
    scene.receivers.clear()


def test_a_closed_channel_hands_on_nothing() -> None:
    scene = ReceiversUnderTest()
    scene.receivers.close(CHANNEL)
    scene.take(1, 0)
    assert scene.got == []


async def test_a_sender_that_is_forgotten_begins_anew() -> None:
    scene = ReceiversUnderTest()
    scene.take(7, 0)
    scene.take(9, 8)
    scene.receivers.forget(OTHER)
    scene.take(1, 0)
    assert scene.got == [b"7", b"1"]
    scene.receivers.clear()


def stand_still(seconds: float) -> None:
    """Block the event loop, as a process does that is given no time."""
    until = monotonic() + seconds
    while monotonic() < until:
        pass


async def test_a_process_that_stood_still_looks_into_its_sockets_first() -> None:
    scene = ReceiversUnderTest(hold_time=0.01)
    scene.take(1, 0)
    scene.take(3, 2)

    def stall() -> None:
        stand_still(0.3)
        asyncio.get_running_loop().call_later(0.01, scene.take, 2, 1)  # it had come meanwhile

    asyncio.get_running_loop().call_soon(stall)
    await wait_until(lambda: len(scene.got) == 3)
    assert scene.got == [b"1", b"2", b"3"]
    assert scene.missed == []


async def test_it_looks_into_all_of_them_and_gives_nothing_up_because_of_what_it_finds_in_the_first() -> None:
    scene = ReceiversUnderTest(hold_time=0.01)
    scene.take(1, 0)
    scene.take(3, 2)
    stand_still(0.3)
    scene.take(4, 3)
    scene.take(2, 1)
    assert scene.got == [b"1", b"2", b"3", b"4"]
    assert scene.missed == []


async def test_after_a_standstill_what_is_missing_is_not_waited_for_for_ever_either_however_much_comes() -> None:
    scene = ReceiversUnderTest(hold_time=0.01)
    scene.take(1, 0)
    scene.take(3, 2)
    stand_still(0.3)
    for number in range(4, 900):  # fewer than would be handed on because they are too many
        scene.take(number, number - 1)
        if scene.missed:
            break
        await asyncio.sleep(0.001)
    assert scene.got[:3] == [b"1", b"3", b"4"]
    assert len(scene.missed) == 1
