from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.numbering import LINKED_FOR, EmitterNumbers, MessageNumbers
from crosswire.core.sequencing import Sequencer
from crosswire.core.silent_senders import FORGET_AFTER, SilentSenders

SENDER = b"sender.."


def test_numbers_grow_over_all_channels_and_name_the_previous_on_the_same_channel() -> None:
    numbers = MessageNumbers()
    assert [numbers.next(channel) for channel in (b"a", b"b", b"a", b"a", b"b")] == [
        (1, 0),
        (2, 0),
        (3, 1),
        (4, 3),
        (5, 2),
    ]


@pytest.mark.parametrize("remembered", [1, 5])
def test_numbers_remember_as_many_channels_as_they_are_told_to(remembered: int) -> None:
    numbers = MessageNumbers(remembered)
    for index in range(100):
        numbers.next(b"%d" % index)
    assert [numbers.next(b"%d" % index)[1] for index in range(100 - remembered, 100)] == [
        index + 1 for index in range(100 - remembered, 100)
    ]
    assert numbers.next(b"0")[1] == 0


def test_the_names_of_channels_that_come_once_are_forgotten() -> None:
    numbers = MessageNumbers()
    for index in range(100_000):
        numbers.next(b"%d" % index + bytes(1000 if index % 2 else 10))
    remembered = [*numbers._recent, *numbers._old]
    assert sum(map(len, remembered)) < 2_200_000
    assert len(remembered) <= 20_002


def test_an_emitter_numbers_its_messages_and_links_those_that_follow_soon() -> None:
    numbers = EmitterNumbers()
    assert numbers.next(b"a", 0) == (1, 0)
    assert numbers.next(b"b", 0) == (2, 0)
    assert numbers.next(b"a", LINKED_FOR) == (3, 1)
    assert numbers.next(b"a", 2 * LINKED_FOR + 0.1) == (4, 0)
    assert numbers.next(b"b", 2 * LINKED_FOR + 0.1) == (5, 0)
    assert numbers.next(b"b", 2 * LINKED_FOR + 0.1) == (6, 5)
    numbers.take_back(b"b")
    numbers.take_back(b"unknown")
    assert numbers.next(b"b", 2 * LINKED_FOR + 0.1) == (7, 0)


def test_an_emitter_forgets_channels_that_it_has_not_used_lately() -> None:
    numbers = EmitterNumbers()
    for number in range(10_000):
        numbers.next(b"%d" % number, number / 100)
    assert len(numbers._sent) <= LINKED_FOR * 100 + 1


@given(
    st.lists(st.tuples(st.sampled_from([b"a", b"b"]), st.floats(0, 4 * FORGET_AFTER)), max_size=30),
    st.booleans(),
)
def test_what_an_emitter_sends_in_order_is_handed_on_at_once(steps: list[tuple[bytes, float]], reorders: bool) -> None:
    numbers, silent, now = EmitterNumbers(), SilentSenders(), 0.0
    sequencers = {channel: Sequencer(silent, reorders=reorders) for channel in (b"a", b"b")}
    for count, (channel, pause) in enumerate(steps):
        now += pause
        number, previous = numbers.next(channel, now)
        assert sequencers[channel].accept(SENDER, number, previous, now)
        assert not sequencers[channel].accept(SENDER, number, previous, now), "its twin"
        assert sequencers[channel].accept(b"%d" % count, 1, 0, now), "another, which makes silent ones forgotten"
