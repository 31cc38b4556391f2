from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.ownership import may_own, owner_among, require_owns
from crosswire.errors import ConfigError

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
name_sets = st.sets(texts, min_size=1, max_size=10)
rooms = st.tuples(texts, texts)
ROOMS = [("game", str(number)) for number in range(2000)]


def owners(names: list[str]) -> dict[tuple[str, str], str | None]:
    return {room: owner_among(names, *room) for room in ROOMS}


@given(name_sets, rooms, st.randoms())
def test_the_order_of_the_names_does_not_matter(names: set[str], room: tuple[str, str], random: Any) -> None:
    shuffled = list(names)
    random.shuffle(shuffled)
    assert owner_among(shuffled, *room) == owner_among(sorted(names), *room)
    assert owner_among(shuffled, *room) in names


@given(name_sets, texts, rooms)
def test_a_name_that_is_added_gets_the_room_or_leaves_it_where_it_is(
    names: set[str], new: str, room: tuple[str, str]
) -> None:
    assert owner_among(names | {new}, *room) in (owner_among(names, *room), new)


@given(name_sets, rooms)
def test_only_rooms_of_a_name_that_is_removed_move(names: set[str], room: tuple[str, str]) -> None:
    owner = owner_among(names, *room)
    assert all(owner_among(names - {name}, *room) == owner for name in names if name != owner)


def test_without_names_there_is_no_owner() -> None:
    assert owner_among([], "game", "1") is None


def test_the_owner_is_the_same_in_every_process_and_version() -> None:
    # Nodes of two versions must agree, so these never change.
    assert [owner_among(["a", "b", "c"], "game", id_) for id_ in "12345678"] == list("bcbccaab")
    assert owner_among(["chat-1", "chat-2"], "Spiel", "Zürich") == "chat-1"


@pytest.mark.parametrize("count", [2, 3, 10])
def test_every_name_owns_about_as_many_rooms(count: int) -> None:
    share = len(ROOMS) / count
    counts = Counter(owners([f"chat-{number}" for number in range(count)]).values())
    assert len(counts) == count
    assert all(0.75 * share < each < 1.25 * share for each in counts.values())


def test_the_rooms_of_a_lost_name_are_spread_over_the_others() -> None:
    names = ["a", "b", "c", "d"]
    before, after = owners(names), owners(names[:-1])
    heirs = Counter(after[room] for room in ROOMS if before[room] == "d")
    share = sum(heirs.values()) / 3
    assert set(heirs) == {"a", "b", "c"}
    assert all(0.7 * share < each < 1.3 * share for each in heirs.values())


def test_namespace_and_id_are_told_apart() -> None:
    names = [f"chat-{number}" for number in range(50)]
    assert owner_among(names, "a", "bc") != owner_among(names, "ab", "c")


@pytest.mark.parametrize(("owns", "may"), [(None, True), (("game",), True), ((), False), (("doc",), False)])
def test_a_node_may_own_what_its_option_names(owns: tuple[str, ...] | None, may: bool) -> None:
    assert may_own(owns, "game") is may
    assert require_owns(owns) == owns


@pytest.mark.parametrize("value", ["game", [""], [1], ["a", "a"], ["\ud800"], 5, True])
def test_what_names_no_namespaces_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="owns"):
        require_owns(value)
