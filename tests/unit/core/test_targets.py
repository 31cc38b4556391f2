from __future__ import annotations

from typing import Any

import msgspec
import pytest

from crosswire.core.targets import Everyone, Excluded, Target, ToRoom, ToUsers, excluding, room_of, user_ids
from crosswire.errors import UsageError
from tests.support.members import FakeMember

LOBBY = ToRoom("chat", "lobby")


@pytest.mark.parametrize("target", [Everyone(), ToUsers(("1", "2")), LOBBY])
def test_a_target_can_cross_the_network(target: Target) -> None:
    wire = msgspec.msgpack.encode(target)
    assert msgspec.msgpack.decode(wire, type=Everyone | ToUsers | ToRoom) == target


@pytest.mark.parametrize(("namespace", "id"), [("", "1"), ("chat", ""), (5, "1"), ("chat", 1)])
def test_a_rooms_names_are_checked(namespace: Any, id: Any) -> None:
    with pytest.raises(UsageError, match="a room's"):
        room_of(namespace, id)


def test_a_room_is_a_namespace_and_an_id() -> None:
    assert room_of("chat", "lobby") == LOBBY


def test_user_ids_are_a_collection_of_strings() -> None:
    assert user_ids(iter(["1", "2"]), "users()") == ("1", "2")
    with pytest.raises(UsageError, match=r"users\(\) takes a collection .* write \['13'\]"):
        user_ids("13", "users()")


def test_who_is_excluded_is_sorted_into_users_and_sockets() -> None:
    assert excluding(iter(("3", FakeMember("4")))) == Excluded(("3",), ("socket of 4",), ("4",))
    assert excluding([]) is None
