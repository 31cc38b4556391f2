from __future__ import annotations

from heapq import nsmallest

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from crosswire.cluster.lists import LocateAnswer, RoomsAnswer, joined_locations, joined_rooms
from crosswire.errors import EventError
from crosswire.types import Locations, Replies, RoomInfo, RoomList

names = st.sampled_from("abcdefgh")
limits = st.integers(1, 10)
nodes_of_users = st.lists(st.dictionaries(names, st.integers(1, 3)), min_size=1, max_size=4)
nodes_of_rooms = st.lists(st.dictionaries(st.tuples(names, names), st.integers(1, 9)), min_size=1, max_size=4)


def sent(answer: msgspec.Struct) -> object:
    """Return an answer as it arrives, before anybody knows its type."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(answer))


@given(nodes_of_users, limits)
def test_the_first_users_of_all_nodes_are_listed_completely(nodes: list[dict[str, int]], limit: int) -> None:
    own, *others = nodes
    first = nsmallest(limit, own)
    here = Locations({user: {"0": own[user]} for user in first}, len(own), len(first) == len(own))
    answers = {
        str(number): sent(
            LocateAnswer({user: users[user] for user in nsmallest(limit, users)}, len(users), len(users) <= limit)
        )
        for number, users in enumerate(others, 1)
    }
    found = joined_locations(here, Replies(answers), limit)
    everyone = sorted(set().union(*nodes))
    assert list(found.users) == everyone[:limit]
    for user, places in found.users.items():
        assert places == {str(number): users[user] for number, users in enumerate(nodes) if user in users}
    assert found.total == len(everyone) if found.exact else found.total >= len(everyone)
    assert found.exact == all(len(users) <= limit for users in nodes)


@given(nodes_of_rooms, limits)
def test_the_first_rooms_of_all_nodes_are_listed_completely(
    nodes: list[dict[tuple[str, str], int]], limit: int
) -> None:
    own, *others = nodes
    here = RoomList(
        tuple(RoomInfo(*key, {"0": own[key]}) for key in nsmallest(limit, own)), len(own), len(own) <= limit
    )
    answers = {
        str(number): sent(RoomsAnswer([(*key, rooms[key]) for key in nsmallest(limit, rooms)], len(rooms)))
        for number, rooms in enumerate(others, 1)
    }
    found = joined_rooms(here, Replies(answers), limit)
    everything = sorted(set().union(*nodes))
    assert [(room.namespace, room.id) for room in found.rooms] == everything[:limit]
    for room in found.rooms:
        key = (room.namespace, room.id)
        assert room.nodes == {str(number): rooms[key] for number, rooms in enumerate(nodes) if key in rooms}
    assert found.total == len(everything) if found.exact else found.total <= len(everything)
    assert found.exact == all(len(rooms) <= limit for rooms in nodes)


def test_nodes_that_refuse_or_do_not_answer_are_missing() -> None:
    replies = Replies({}, errors={"old": EventError("NO_HANDLER")}, missing=["dead"])
    assert joined_locations(Locations({"1": {"a": 1}}, 1), replies, 5).missing == ("dead", "old")
    assert joined_rooms(RoomList(), replies, 5) == RoomList(missing=("dead", "old"))


def test_nodes_whose_answers_do_not_fit_are_missing() -> None:
    other = sent(RoomsAnswer([("a", "1", 2)], 1))
    replies = Replies({"new": ["what"], "other": other, "newer": {"rooms": 3, "total": 1}})
    assert joined_rooms(RoomList(), replies, 5) == RoomList(
        (RoomInfo("a", "1", {"other": 2}),), 1, missing=("new", "newer")
    )
    assert joined_locations(Locations({}, 0), Replies({"new": {"users": {}}}), 5).missing == ("new",)
