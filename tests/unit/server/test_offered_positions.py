from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.messages import MAX_OFFERED
from crosswire.core.positions import LogPosition
from crosswire.core.targets import ToRoom
from crosswire.server.offered_positions import OfferedPositions

ROOM, OTHER = ToRoom("chat", "1"), ToRoom("chat", "2")

letters = st.text("ABab01", min_size=8, max_size=8)
positions = st.builds(LogPosition, letters, st.integers(0, 10**18 - 1))


@given(
    st.lists(positions, max_size=20, unique_by=lambda position: position.epoch), st.sampled_from([",", "%2C", "%2c"])
)
def test_each_position_is_found_once(offered: list[LogPosition], comma: str) -> None:
    found = OfferedPositions(comma.join(map(str, offered)))
    for position in reversed(offered):
        assert found.any_left
        assert found.take(ROOM, position.epoch) == position
        assert found.take(ROOM, position.epoch) is None
    assert not found.any_left


def test_the_first_position_of_an_epoch_counts_and_the_others_are_gone_with_it() -> None:
    offered = OfferedPositions("k3xQ9a2f.7,k3xQ9a2f.5,other111.1,k3xQ9a2f.3")
    assert offered.take(ROOM, "k3xQ9a2f") == LogPosition("k3xQ9a2f", 7)
    assert offered.take(ROOM, "k3xQ9a2f") is None
    assert offered.take(ROOM, "other111") == LogPosition("other111", 1)


def test_what_is_no_position_is_not_found() -> None:
    for value in (
        "",
        ",",
        "k3xQ9a2f",
        "k3xQ9a2f.",
        "k3xQ9a2f.01",
        "k3xQ9a2f.-1",
        "k3xQ9a2f.1.2",
        "k3xQ9a2f.1%2",
        "x" * 9000,
    ):
        assert OfferedPositions(value).take(ROOM, "k3xQ9a2f") is None, value
    assert OfferedPositions("xk3xQ9a2f.1").take(ROOM, "k3xQ9a2f") is None
    assert OfferedPositions("?,=,k3xQ9a2f.1,%00").take(ROOM, "k3xQ9a2f") == LogPosition("k3xQ9a2f", 1)


@given(st.text(max_size=200))
def test_garbage_is_no_position(value: str) -> None:
    assert OfferedPositions(value).take(ROOM, "k3xQ9a2f") is None or "k3xQ9a2f" in value


def test_of_too_many_positions_the_first_count_and_none_is_cut() -> None:
    offered = [LogPosition(f"{number:08}", 10**17 + number) for number in range(1000)]
    found = OfferedPositions(",".join(map(str, offered)))
    fitting = (MAX_OFFERED + 1) // (8 + 1 + 18 + 1)
    taken = [found.take(ROOM, position.epoch) for position in offered]
    assert taken == [*offered[:fitting], *[None] * (1000 - fitting)]


def test_a_value_of_exactly_the_limit_is_read_whole() -> None:
    value = "A" * (MAX_OFFERED - 11) + ",b3xQ9a2f.9"
    assert OfferedPositions(value).take(ROOM, "b3xQ9a2f") == LogPosition("b3xQ9a2f", 9)
    assert OfferedPositions(value + "9").take(ROOM, "b3xQ9a2f") is None


def test_after_an_answer_without_a_position_the_room_has_none_any_more() -> None:
    offered = OfferedPositions("k3xQ9a2f.1,b3xQ9a2f.2")
    offered.spoil(ROOM)
    assert offered.take(ROOM, "k3xQ9a2f") is None
    assert offered.take(OTHER, "b3xQ9a2f") == LogPosition("b3xQ9a2f", 2)
    assert not offered.any_left
    offered.spoil(OTHER)


def test_the_rooms_that_were_answered_so_are_bounded_by_the_positions() -> None:
    offered = OfferedPositions("k3xQ9a2f.1,b3xQ9a2f.2")
    for number in range(4):
        offered.spoil(ToRoom("game", str(number)))
    assert not offered.any_left
    assert offered.take(ROOM, "k3xQ9a2f") is None
