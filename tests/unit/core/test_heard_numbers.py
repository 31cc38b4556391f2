from __future__ import annotations

from crosswire.core.heard_numbers import MAX_ORIGINS, MAX_UNPLACED, HeardNumbers
from tests.support.kept import ALICE, BOB


def test_messages_of_one_epoch_are_new_as_the_log_drops_twins() -> None:
    heard = HeardNumbers()
    assert heard.place(ALICE, 2)
    assert heard.place(ALICE, 1)  # of somebody who says that it is this sender: its own messages must not be kept out


def test_messages_of_an_earlier_epoch_are_not_new() -> None:
    heard = HeardNumbers()
    heard.place(ALICE, 2)
    heard.begin_epoch()
    assert [heard.place(ALICE, number) for number in (1, 2, 3)] == [False, False, True]
    assert heard.place(BOB, 1)
    heard.begin_epoch()
    assert not heard.place(ALICE, 3)
    heard.begin_epoch()
    assert not heard.place(BOB, 1)


def test_messages_that_came_without_a_position_are_not_new() -> None:
    heard = HeardNumbers()
    assert heard.add_unplaced(ALICE, 5)
    assert not heard.add_unplaced(ALICE, 5)
    assert [heard.place(ALICE, number) for number in (4, 5, 6)] == [True, False, True]
    assert not heard.add_unplaced(ALICE, 6)


def test_the_senders_that_are_remembered_are_limited() -> None:
    heard = HeardNumbers()
    for index in range(MAX_ORIGINS + 1):
        heard.place(index.to_bytes(8, "big"), 1)
    heard.begin_epoch()
    assert [heard.place(index.to_bytes(8, "big"), 1) for index in (0, 1, MAX_ORIGINS)] == [True, False, False]
    for index in range(MAX_ORIGINS):
        heard.place(index.to_bytes(8, "little"), 1)
    heard.begin_epoch()
    assert not heard.place((5).to_bytes(8, "little"), 1)


def test_the_messages_without_a_position_that_are_remembered_are_limited() -> None:
    heard = HeardNumbers()
    for number in range(1, MAX_UNPLACED + 2):
        heard.add_unplaced(ALICE, number)
    assert [heard.place(ALICE, number) for number in (1, 2)] == [True, False]
