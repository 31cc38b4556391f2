from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.client.room_table import MAX_ROOMS, RoomTable
from crosswire.core.messages import MAX_OFFERED, RoomPosition
from crosswire.types import RoomState

ROOM = ("chat", "1")


def told(
    at: str | None, recovered: bool | None = None, reason: str | None = None, room: tuple[str, str] = ROOM
) -> RoomPosition:
    return RoomPosition(room, at, recovered, reason)


def epoch_of(number: int) -> str:
    return f"{number:08d}"


def test_a_message_behind_the_position_is_new_once() -> None:
    table = RoomTable()
    table.change(told("AAAAAAAA.4"))
    assert [table.move(f"AAAAAAAA.{offset}") for offset in (4, 5, 5, 3, 7, 6)] == [
        False,
        True,
        False,
        False,
        True,
        False,
    ]
    assert table.offer() == "AAAAAAAA.7"


@pytest.mark.parametrize("at", ["BBBBBBBB.9", "AAAAAAAA", "AAAAAAAA.", "AAAAAAAA.x", "AAAAAAAA.05", "", 9, [], {}])
def test_a_position_of_no_known_epoch_is_new_and_not_kept(at: object) -> None:
    table = RoomTable()
    table.change(told("AAAAAAAA.4"))
    assert [table.move(at), table.move(at)] == [True, True]
    assert table.offer() == "AAAAAAAA.4"


def test_the_first_join_of_a_room_has_nothing_to_recover() -> None:
    assert RoomTable().change(told("AAAAAAAA.4")) == RoomState("chat", "1", None, None)


@pytest.mark.parametrize("reason", [None, "trimmed"])
def test_what_the_server_knows_is_passed_on(reason: str | None) -> None:
    table = RoomTable()
    table.change(told("AAAAAAAA.4"))
    table.offer()
    assert table.change(told("AAAAAAAA.9", reason is None, reason)) == ("chat", "1", reason is None, reason)
    assert table.offer() == "AAAAAAAA.9"


def test_a_room_that_had_another_epoch_is_not_recovered_though_the_server_can_not_know() -> None:
    table = RoomTable()
    table.change(told("AAAAAAAA.4"))
    table.offer()
    assert table.change(told("BBBBBBBB.2")) == ("chat", "1", False, "epoch")
    assert table.offer() == "BBBBBBBB.2"
    assert table.move("AAAAAAAA.5")  # forgotten


def test_a_room_whose_position_was_not_offered_is_not_recovered() -> None:
    table = RoomTable()
    table.offer()
    table.change(told("AAAAAAAA.4"))
    assert table.change(told("AAAAAAAA.9")) == ("chat", "1", False, "too-much")


def test_a_room_whose_log_can_not_be_reached_has_no_position_and_is_not_the_first_time_later() -> None:
    table = RoomTable()
    table.change(told("AAAAAAAA.4"))
    table.offer()
    assert table.change(told(None, False, "unavailable")) == ("chat", "1", False, "unavailable")
    assert table.offer() == ""
    assert table.change(told("AAAAAAAA.9")) == ("chat", "1", False, "unavailable")
    assert table.offer() == "AAAAAAAA.9"


def test_a_room_that_was_left_is_joined_as_for_the_first_time() -> None:
    table = RoomTable()
    table.change(told("AAAAAAAA.4"))
    table.forget(ROOM)
    table.forget(ROOM)
    assert (table.offer(), table.move("AAAAAAAA.5")) == ("", True)
    assert table.change(told("BBBBBBBB.4")) == ("chat", "1", None, None)


def test_messages_that_were_handled_after_the_offer_are_not_new_when_they_are_recovered() -> None:
    table = RoomTable()
    table.change(told("AAAAAAAA.4"))
    table.offer()
    table.move("AAAAAAAA.6")
    assert table.change(told("AAAAAAAA.4", True)) == ("chat", "1", True, None)
    assert [table.move(f"AAAAAAAA.{offset}") for offset in (5, 6, 7)] == [False, False, True]


def test_a_position_that_is_ahead_of_the_log_goes_back() -> None:
    table = RoomTable()
    table.change(told("AAAAAAAA.40"))
    table.offer()
    table.change(told("AAAAAAAA.3", False, "ahead"))
    assert table.move("AAAAAAAA.4")


def test_an_epoch_belongs_to_one_room() -> None:
    table = RoomTable()
    table.change(told("AAAAAAAA.4"))
    table.change(told("AAAAAAAA.5", room=("chat", "2")))
    assert table.offer() == "AAAAAAAA.5"
    table.forget(ROOM)
    assert table.offer() == "AAAAAAAA.5"


def test_positions_are_offered_newest_first_and_no_more_than_fit() -> None:
    table = RoomTable()
    for number in range(300):
        table.change(told(f"{epoch_of(number)}.100000", room=("chat", str(number))))
    table.change(told(f"{epoch_of(3)}.100001", True, room=("chat", "3")))
    offered = table.offer()
    positions = offered.split(",")
    assert positions[:3] == ["00000003.100001", "00000299.100000", "00000298.100000"]
    assert (len(positions), len(offered)) == (256, MAX_OFFERED - 1)
    assert table.change(told("BBBBBBBB.1", room=("chat", "3"))).reason == "epoch"
    assert table.change(told("CCCCCCCC.1", room=("chat", "4"))).reason == "too-much"


def test_a_position_that_just_fits_is_offered() -> None:
    table = RoomTable()
    lengths = [6] * 255 + [7]  # digits: 255 * 15 + 16, and the commas
    for number, digits in enumerate(lengths):
        table.change(told(f"{epoch_of(number)}.{10 ** (digits - 1)}", room=("chat", str(number))))
    assert len(table.offer()) == MAX_OFFERED
    table.change(told(f"{epoch_of(0)}.{10**6}", room=("chat", "0")))
    assert (len(table.offer()), len(table.offer().split(","))) == (MAX_OFFERED - 15, 255)


def test_the_room_that_was_told_of_first_is_forgotten_and_never_taken_for_new() -> None:
    table = RoomTable()
    for number in range(MAX_ROOMS):
        assert table.change(told(f"{epoch_of(number)}.1", room=("chat", str(number)))).recovered is None
    table.change(told(f"{epoch_of(0)}.1", True, room=("chat", "0")))
    table.change(told("AAAAAAAA.1", room=("chat", "more")))
    assert not table.move(f"{epoch_of(0)}.1")
    assert table.move(f"{epoch_of(1)}.1")
    assert table.change(told("BBBBBBBB.1", room=("chat", "1"))) == ("chat", "1", False, "too-much")


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40)), max_size=60))
def test_offered_are_the_latest_positions_whatever_happened(acts: list[tuple[int, int]]) -> None:
    table, expected = RoomTable(), dict[int, int]()
    for number, offset in acts:
        room = ("chat", str(number))
        if offset == 0:
            table.forget(room)
            expected.pop(number, None)
        elif offset % 2:
            table.change(told(f"{epoch_of(number)}.{offset}", room=room))
            expected.pop(number, None)
            expected[number] = offset
        elif table.move(f"{epoch_of(number)}.{offset}") and number in expected:
            assert offset > expected[number]
            expected[number] = offset
    newest_first = reversed(expected.items())
    assert table.offer() == ",".join(f"{epoch_of(number)}.{offset}" for number, offset in newest_first)
