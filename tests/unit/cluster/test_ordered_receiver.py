from __future__ import annotations

from math import inf

import pytest

from crosswire.cluster.ordered_receiver import OrderedReceiver
from crosswire.core.envelopes import pack_header
from crosswire.core.log_records import RECORD_VERSION
from crosswire.core.sequencing import Sequencer
from crosswire.core.silent_senders import SilentSenders

OWN, OTHER = b"own.....", b"other..."


class ReceiverUnderTest:
    """The receiver of a channel, the bodies that it handed on, and what it reported; bodies with a ? can't be read."""

    reorders = False
    hold_time = 1.0

    def __init__(self, *, signed: bool = False) -> None:
        sequencer = Sequencer(SilentSenders())
        self.receiver = OrderedReceiver(b"c", OWN, self.receive, self.is_readable, sequencer, self, self, signed=signed)
        self.got: list[bytes] = []
        self.unreadable: list[bytes] = []
        self.records: list[bytes] = []
        self.resumptions: list[float] = []
        self.held = 0

    def receive(self, body: bytes) -> bool:
        self.got.append(body)
        return self.is_readable(body)

    @staticmethod
    def is_readable(body: bytes) -> bool:
        return b"?" not in body

    def message_unreadable(self, message: bytes) -> None:
        self.unreadable.append(message)

    def record_came(self, channel: bytes, message: bytes) -> None:
        self.records.append(message)

    def limit_hold_time(self, receiver: OrderedReceiver, origin: bytes) -> None:
        self.held += 1

    def resumed(self, channel: bytes, since: float) -> None:
        self.resumptions.append(since)

    def came_late(self, channel: bytes, first: float) -> None:
        raise AssertionError("nothing comes before the first message")

    def take(self, number: int, previous: int, body: bytes = b"", *, origin: bytes = OTHER) -> None:
        self.receiver.take(pack_header(origin, number, previous) + (body or b"%d" % number))


def test_own_messages_are_ignored() -> None:
    tested = ReceiverUnderTest()
    tested.take(1, 0, origin=OWN)
    assert tested.got == []


@pytest.mark.parametrize("message", [b"", b"x", b"\x01" * 24, b"\x09" + bytes(24), b"\xff" * 100])
def test_a_message_without_a_header_is_reported(message: bytes) -> None:
    tested = ReceiverUnderTest()
    tested.receiver.take(message)
    assert (tested.got, tested.unreadable) == ([], [message])


def test_a_record_of_a_log_is_passed_on_as_one() -> None:
    tested = ReceiverUnderTest()
    record = bytes([RECORD_VERSION]) + b"record"
    tested.receiver.take(record)
    assert (tested.got, tested.unreadable, tested.records) == ([], [], [record])


def test_the_number_of_a_message_that_can_not_be_read_does_not_count() -> None:
    tested = ReceiverUnderTest()
    tested.take(1, 0)
    tested.take(1000, 1, b"forged?")
    tested.take(2, 1)
    tested.take(2000, 1999, b"forged too?")
    tested.take(3, 2)
    assert tested.got == [b"1", b"forged?", b"2", b"3"]
    assert tested.held == 0


def test_each_message_is_handed_on_once_and_in_order() -> None:
    tested = ReceiverUnderTest()
    for number, previous in ((1, 0), (1, 0), (3, 2), (2, 1), (3, 2), (4, 3)):
        tested.take(number, previous)
    assert tested.got == [b"1", b"2", b"3", b"4"]
    assert tested.receiver.due(1.0) == inf, "nothing is held any more"


@pytest.mark.parametrize(("signed", "handed_on"), [(False, [b"1", b"forged", b"2"]), (True, [b"1", b"forged"])])
def test_a_sender_goes_on_after_a_forged_number_unless_it_signs(signed: bool, handed_on: list[bytes]) -> None:
    tested = ReceiverUnderTest(signed=signed)
    tested.take(1, 0)
    tested.take(1000, 1, b"forged")
    tested.take(2, 1)
    assert tested.got == handed_on
    assert len(tested.resumptions) == len(handed_on) - 2
