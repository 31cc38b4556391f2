from __future__ import annotations

import tracemalloc
from collections.abc import Collection, Mapping
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from crosswire.errors import UsageError
from crosswire.rooms.index import RoomIndex
from tests.support.members import FakeMember

USERS = ["1", "2", "12"]
NAMESPACES = ["chat", "chatter", "c", "__proto__"]
IDS = ["1", "10", "2", ""]  # the last as a prefix only
users = st.sampled_from(USERS)
namespaces = st.sampled_from(NAMESPACES)
ids = st.sampled_from(IDS[:-1])

Place = tuple[FakeMember, str, str]


def grouped(places: set[tuple[str, str]]) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = {}
    for namespace, id_ in places:
        groups.setdefault(namespace, set()).add(id_)
    return groups


def as_sets(rooms: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
    return {namespace: set(ids) for namespace, ids in rooms.items()}


class IndexMachine(RuleBasedStateMachine):
    """A room index, and the set of (connection, namespace, id) that it should equal."""

    members = Bundle[FakeMember]("members")

    def __init__(self) -> None:
        super().__init__()
        self.index: RoomIndex[FakeMember] = RoomIndex()
        self.model: set[Place] = set()
        self.all: list[FakeMember] = []

    @rule(target=members, user=users)
    def connect(self, user: str) -> FakeMember:
        self.all.append(FakeMember(user))
        return self.all[-1]

    @rule(member=members, namespace=namespaces, id=ids)
    def join(self, member: FakeMember, namespace: str, id: str) -> None:
        place = (member, namespace, id)
        assert self.index.join(*place) is (place not in self.model)
        self.model.add(place)

    @rule(member=members, namespace=namespaces, id=ids)
    def leave(self, member: FakeMember, namespace: str, id: str) -> None:
        place = (member, namespace, id)
        assert self.index.leave(*place) is (place in self.model)
        self.model.discard(place)

    @rule(member=members)
    def drop(self, member: FakeMember) -> None:
        assert as_sets(self.index.drop(member)) == self.rooms_of(member)
        self.model = {place for place in self.model if place[0] is not member}

    @rule(member=members, user=users)
    def rename(self, member: FakeMember, user: str) -> None:
        rooms = self.index.drop(member)
        member.user = user
        for namespace, id_ in [(namespace, id_) for namespace, ids in rooms.items() for id_ in ids]:
            assert self.index.join(member, namespace, id_)

    def rooms_of(self, member: FakeMember) -> dict[str, set[str]]:
        return grouped({(namespace, id_) for each, namespace, id_ in self.model if each is member})

    @invariant()
    def connections_are_in_their_rooms(self) -> None:
        for member in self.all:
            assert as_sets(self.index.rooms_of(member)) == self.rooms_of(member)
        for namespace in NAMESPACES:
            for id_ in IDS:
                found = list(self.index.in_room(namespace, id_))
                assert len(found) == len(set(found))
                assert set(found) == {m for m, *room in self.model if room == [namespace, id_]}

    @invariant()
    def rooms_know_how_many_members_they_share(self) -> None:
        for namespace in NAMESPACES:
            for id_ in IDS:
                sharing = {m for m, *room in self.model if room == [namespace, id_]}
                sharing &= {m for m, *room in self.model if room != [namespace, id_]}
                room = self.index.by_namespace.get(namespace, {}).get(id_)
                assert (0 if room is None else room.shared) == len(sharing)

    @invariant()
    def queries_of_rooms_equal_the_model(self) -> None:
        for name in [*NAMESPACES, "nothing"]:
            self.check(name, None, {m.user for m, n, _ in self.model if n == name}, prefix=False)
            self.check(name, None, {m.user for m, n, _ in self.model if n.startswith(name)}, prefix=True)
            for id_ in IDS[:-1]:
                self.check(name, id_, {m.user for m, *room in self.model if room == [name, id_]}, prefix=False)
                of_prefix = {m.user for m, n, i in self.model if n == name and i.startswith(id_)}
                self.check(name, id_, of_prefix, prefix=True)
            assert self.index.ids(name) == {i for _, n, i in self.model if n == name}
            assert self.index.ids(name, prefix=True) == {i for _, n, i in self.model if n.startswith(name)}

    @invariant()
    def sizes_of_rooms_equal_the_model(self) -> None:
        everywhere = [(n, i, len({m.user for m, *room in self.model if room == [n, i]})) for _, n, i in self.model]
        for name in [None, *NAMESPACES]:
            for prefix in IDS:
                found = list(self.index.sizes(name, prefix))
                assert len(found) == len(set(found))
                assert set(found) == {s for s in everywhere if name in (None, s[0]) and s[1].startswith(prefix)}

    def check(self, namespace: str, id: str | None, expected: set[str], *, prefix: bool) -> None:
        assert self.index.members(namespace, id, prefix=prefix) == expected
        assert self.index.count(namespace, id, prefix=prefix) == len(expected)

    @invariant()
    def queries_of_users_equal_the_model(self) -> None:
        for user in [*USERS, "nobody"]:
            places = {(n, i) for m, n, i in self.model if m.user == user}
            assert self.index.joined(user) == grouped(places)
            for prefix in ("c", "chat", "chatter", "x"):
                expected = {place for place in places if place[0].startswith(prefix)}
                assert self.index.joined(user, prefix) == grouped(expected)
            for name in NAMESPACES:
                assert self.index.has(user, name) is any(n == name for n, _ in places)
                for id_ in IDS[:-1]:
                    assert self.index.has(user, name, id_) is ((name, id_) in places)


TestIndex: Any = IndexMachine.TestCase
TestIndex.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_rooms_that_are_empty_take_no_memory() -> None:
    index: RoomIndex[FakeMember] = RoomIndex()
    member = FakeMember("1")

    def visit(rooms: range) -> None:
        for number in rooms:
            index.join(member, f"namespace {number}", "1")
            index.join(member, "chat", str(number))
            index.leave(member, "chat", str(number))
            index.drop(member)

    visit(range(100))
    tracemalloc.start()
    try:
        visit(range(2000))
        assert tracemalloc.get_traced_memory()[0] < 20_000
    finally:
        tracemalloc.stop()


def test_a_query_returns_a_copy() -> None:
    index: RoomIndex[FakeMember] = RoomIndex()
    index.join(FakeMember("1"), "chat", "10")
    index.members("chat", "10").clear()
    index.ids("chat").clear()
    index.joined("1")["chat"].clear()
    assert index.members("chat", "10") == {"1"}
    assert index.ids("chat") == {"10"}
    assert index.joined("1") == {"chat": {"10"}}


@pytest.mark.parametrize("name", ["", 5, None])
def test_names_in_queries_are_checked(name: Any) -> None:
    index: RoomIndex[FakeMember] = RoomIndex()
    for query in (index.members, index.count, index.ids, index.joined):
        with pytest.raises(UsageError):
            query(name)
    with pytest.raises(UsageError, match="a room's namespace"):
        index.has("1", name)
    with pytest.raises(UsageError, match="a user id"):
        index.has(name, "chat")


@pytest.mark.parametrize("id", ["", 5])
def test_ids_in_queries_are_checked(id: Any) -> None:
    index: RoomIndex[FakeMember] = RoomIndex()
    for query in (index.members, index.count):
        with pytest.raises(UsageError, match="a room's id"):
            query("chat", id)
