from __future__ import annotations

from itertools import accumulate
from math import inf
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.sender_stream import MAX_HELD
from crosswire.core.sequencing import MissedMessages, Sequencer
from crosswire.core.silent_senders import SilentSenders

SENDER = b"sender.."
HOLD_TIME, FIRST_HOLD_TIME = 2.0, 0.1


class Sent(NamedTuple):
    number: int
    previous: int

    @property
    def body(self) -> bytes:
        return b"%d" % self.number


class Receiver:
    """A channel's sequencer, used as the port uses it."""

    def __init__(self, *, reorders: bool = False) -> None:
        self.sequencer = Sequencer(SilentSenders(), reorders=reorders)
        self.got: list[int] = []
        self.missed: list[MissedMessages | None] = []

    def take(self, sent: Sent, now: float = 0.0, sender: bytes = SENDER) -> None:
        if self.sequencer.accept(sender, *sent, now):
            self.got.append(sent.number)
        elif self.sequencer.hold(sender, *sent, sent.body, now):
            self.got.extend(map(int, self.sequencer.ready(sender)))

    def give_up(self, now: float, hold_time: float = HOLD_TIME) -> None:
        for missed, bodies in self.sequencer.give_up(now, hold_time, min(hold_time, FIRST_HOLD_TIME)):
            self.missed.append(missed)
            self.got.extend(map(int, bodies))

    def give_up_all(self) -> None:
        while (due := self.sequencer.due(HOLD_TIME, FIRST_HOLD_TIME)) != inf:
            self.give_up(due)


def chain(*numbers: int) -> list[Sent]:
    """Messages of one sender on one channel; it sent others on other channels between them."""
    return [Sent(number, previous) for number, previous in zip(numbers, (0, *numbers), strict=False)]


@st.composite
def messages(draw: st.DrawFn, least: int = 1) -> list[Sent]:
    steps = draw(st.lists(st.integers(1, 5), min_size=least, max_size=8))
    return chain(*accumulate(steps))


@st.composite
def over_two_paths(draw: st.DrawFn) -> tuple[list[Sent], list[Sent]]:
    """Generate sent messages and their arrivals over two paths, each of which may lose some."""
    sent = draw(messages())
    paths: list[list[Sent]] = [
        [message for message in sent if draw(st.booleans()) or draw(st.booleans())] for _ in range(2)
    ]
    arrivals: list[Sent] = []
    while paths[0] or paths[1]:
        path = draw(st.sampled_from([path for path in paths if path]))
        arrivals.append(path.pop(0))
    return sent, arrivals


@given(over_two_paths(), st.booleans())
def test_two_paths_never_duplicate_reorder_or_lose_messages_after_the_first(
    way: tuple[list[Sent], list[Sent]], reorders: bool
) -> None:
    _, arrivals = way
    receiver = Receiver(reorders=reorders)
    for message in arrivals:
        receiver.take(message)
    receiver.give_up_all()
    came = sorted({message.number for message in arrivals})
    if not reorders and arrivals:
        came = [number for number in came if number >= arrivals[0].number]
    assert receiver.got == came


@given(messages(), st.data())
def test_messages_in_any_order_are_passed_in_order_and_once(sent: list[Sent], data: st.DataObject) -> None:
    arrivals = data.draw(st.lists(st.sampled_from(sent), max_size=20))
    receiver = Receiver(reorders=True)
    for message in arrivals:
        receiver.take(message)
    receiver.give_up_all()
    assert receiver.got == sorted({message.number for message in arrivals})
    assert receiver.sequencer.due(HOLD_TIME, FIRST_HOLD_TIME) == inf


@given(messages(), st.booleans(), st.data())
def test_giving_up_at_any_time_never_duplicates_or_reorders(
    sent: list[Sent], reorders: bool, data: st.DataObject
) -> None:
    receiver, now = Receiver(reorders=reorders), 0.0
    for message in data.draw(st.lists(st.sampled_from(sent), max_size=20)):
        now += data.draw(st.sampled_from([0.0, FIRST_HOLD_TIME, HOLD_TIME]))
        receiver.take(message, now)
        receiver.give_up(now)
    receiver.give_up_all()
    assert receiver.got == sorted(set(receiver.got))


@given(messages(least=2), st.data())
def test_all_messages_in_any_order_are_passed_without_giving_up(sent: list[Sent], data: st.DataObject) -> None:
    receiver = Receiver(reorders=True)
    for message in data.draw(st.permutations(sent)):
        receiver.take(message)
    assert receiver.got == [message.number for message in sent]


def test_senders_do_not_wait_for_each_other() -> None:
    receiver = Receiver()
    first, _, third = chain(1, 2, 3)
    receiver.take(first, sender=b"a")
    receiver.take(third, sender=b"a")
    receiver.take(first, sender=b"b")
    assert receiver.got == [1, 1]


def test_the_first_message_that_comes_is_taken_whatever_was_before_it() -> None:
    receiver = Receiver()
    receiver.take(Sent(9, 5))
    receiver.take(Sent(5, 0))
    assert receiver.got == [9]


def test_where_paths_change_the_first_message_waits_for_earlier_ones() -> None:
    receiver = Receiver(reorders=True)
    receiver.take(Sent(9, 5), now=1.0)
    assert receiver.got == []
    receiver.give_up(1.0 + FIRST_HOLD_TIME - 0.001)
    assert receiver.got == []
    receiver.give_up(1.0 + FIRST_HOLD_TIME)
    assert receiver.got == [9]
    assert receiver.missed == [None]


def test_the_first_message_of_a_sender_does_not_wait() -> None:
    receiver = Receiver(reorders=True)
    receiver.take(Sent(9, 0))
    assert receiver.got == [9]


def test_a_missing_message_is_waited_for_and_then_given_up() -> None:
    receiver = Receiver()
    first, _, third, fourth = chain(1, 2, 3, 4)
    receiver.take(first, now=3.0)
    receiver.take(third, now=5.0)
    receiver.take(fourth, now=6.0)
    receiver.give_up(5.0 + HOLD_TIME - 0.001)
    assert receiver.got == [1]
    receiver.give_up(5.0 + HOLD_TIME)
    assert receiver.got == [1, 3, 4]
    assert receiver.missed == [MissedMessages(SENDER, 3.0)]


def test_a_gap_begins_with_the_last_message_before_it() -> None:
    receiver = Receiver()
    first, second, _, fourth, _, sixth = chain(1, 2, 3, 4, 5, 6)
    receiver.take(first, now=1.0)
    receiver.take(second, now=2.0)
    receiver.take(fourth, now=5.0)
    receiver.take(sixth, now=6.0)
    receiver.give_up(8.0)
    receiver.give_up(8.0)
    assert receiver.missed == [MissedMessages(SENDER, 2.0), MissedMessages(SENDER, 5.0)]


def test_a_second_missing_message_is_waited_for_from_its_own_time() -> None:
    receiver = Receiver()
    first, _, third, fourth, fifth = chain(1, 2, 3, 4, 5)
    receiver.take(first)
    receiver.take(third, now=5.0)
    receiver.take(fifth, now=6.0)
    receiver.give_up(5.0 + HOLD_TIME)
    assert receiver.got == [1, 3]
    assert receiver.sequencer.due(HOLD_TIME, FIRST_HOLD_TIME) == 6.0 + HOLD_TIME
    receiver.take(fourth, now=7.5)
    assert receiver.got == [1, 3, 4, 5]


def test_a_message_from_before_the_first_is_reported_as_lost_once() -> None:
    receiver = Receiver(reorders=True)
    first, second, third, fourth = chain(1, 2, 3, 4)
    receiver.take(third, now=5.0)
    receiver.give_up(5.0 + FIRST_HOLD_TIME)
    receiver.take(fourth, now=6.0)
    late = [first, third, fourth, second, first]
    for message in late:
        receiver.take(message, now=7.0)
    assert receiver.got == [3, 4]
    corrected = [receiver.sequencer.correct_first(SENDER, message.number) for message in late]
    assert corrected == [5.0, None, None, None, None]


def test_nothing_is_lost_before_a_message_known_to_be_the_first() -> None:
    receiver = Receiver(reorders=True)
    first, second = chain(1, 2)
    receiver.take(first)
    receiver.take(second)
    assert receiver.sequencer.correct_first(SENDER, first.number) is None


def test_no_hold_time_gives_up_at_once() -> None:
    receiver = Receiver()
    receiver.take(Sent(1, 0))
    receiver.take(Sent(3, 2), now=5.0)
    receiver.give_up(5.0, hold_time=0)
    assert receiver.got == [1, 3]


def test_too_many_waiting_messages_are_passed_at_once() -> None:
    receiver = Receiver()
    sent = chain(*range(1, MAX_HELD + 4))
    receiver.take(sent[0])
    for message in sent[2:-1]:
        receiver.take(message, now=1.0)
        receiver.give_up(1.0)
    assert receiver.got == [1]
    receiver.take(sent[-1], now=1.0)
    receiver.give_up(1.0)
    assert receiver.got == [1, *range(3, MAX_HELD + 4)]


def test_a_forgotten_sender_has_no_missing_messages() -> None:
    receiver = Receiver()
    receiver.take(Sent(1, 0))
    receiver.take(Sent(3, 2))
    receiver.sequencer.forget(SENDER)
    assert receiver.sequencer.due(HOLD_TIME, FIRST_HOLD_TIME) == inf
    receiver.take(Sent(7, 6))
    assert receiver.got == [1, 7]
