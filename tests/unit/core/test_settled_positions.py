from __future__ import annotations

from crosswire.core.kept_messages import KeptMessages
from crosswire.core.settled_positions import SETTLING_TIME, SettledPositions
from tests.support.kept import kept


def kept_at(*times: int) -> KeptMessages:
    messages = KeptMessages(10, 300)
    for offset, time in enumerate(times, 1):
        messages.add(kept(offset, time=time))
    return messages


def test_all_positions_are_good_at_first() -> None:
    assert SettledPositions().is_good(0, kept_at(), 0)


def test_the_log_says_from_where_they_are_good() -> None:
    settled = SettledPositions()
    settled.load(2, 3)
    assert [settled.is_good(offset, kept_at(0, 0, 0), 0) for offset in range(4)] == [False, False, True, True]
    settled.begin_epoch()
    assert settled.is_good(0, kept_at(), 0)


def test_positions_that_were_refused_stay_so() -> None:
    settled = SettledPositions()
    settled.begin_at(2)
    settled.begin_at(1)
    settled.load(0, 3)
    assert [settled.is_good(offset, kept_at(0, 0, 0), 0) for offset in range(4)] == [False, False, True, True]


def test_while_a_log_settles_no_position_is_good_and_afterwards_those_of_later_messages() -> None:
    settled = SettledPositions()
    settled.load(2, 1)
    end = int(1_000 + SETTLING_TIME * 1_000)
    messages = kept_at(0, 500, end - 1, end)
    assert not settled.is_good(1, messages, 1_000)
    assert [settled.is_good(offset, messages, 9_999) for offset in range(5)] == [False, False, False, False, True]
    assert not settled.is_good(9, messages, 9_999)  # it is not known when that was kept
    settled.load(2, 4)
    assert settled.is_good(2, messages, 9_999)
