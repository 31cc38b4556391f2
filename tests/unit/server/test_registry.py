from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from crosswire.core.limits import Limits
from crosswire.errors import EventError
from crosswire.rooms.fanout import FanOut
from crosswire.rooms.users import UserIndex
from crosswire.server.duplicates import DuplicatePolicy, Duplicates
from crosswire.server.registry import Registry
from crosswire.server.subscriptions import Subscriptions
from tests.support.members import FakeMember

USERS = ["1", "2", "3"]
MAX_ROOMS = 3
users = st.sampled_from(USERS)
rooms = st.tuples(st.sampled_from(["chat", "game"]), st.sampled_from(["1", "2"]))


class FakeSocket(FakeMember):
    """A socket that leaves the registry when it is closed, as a socket does."""

    def __init__(self, registry: Registry[FakeSocket]) -> None:
        super().__init__("not yet")
        self.registry = registry
        self.code: int | None = None
        self.stamp = 0
        self.joins_until = 0.0

    def close(self, code: int, reason: str) -> None:
        assert self.code is None, "closed twice"
        self.code = code
        self.registry.drop(self)

    @property
    def is_open(self) -> bool:
        return self.code is None

    async def drop_if_dead(self) -> bool:
        raise AssertionError("these tests probe nobody")


class RegistryMachine(RuleBasedStateMachine):
    """A registry, and who should be connected in which rooms."""

    sockets = Bundle[FakeSocket]("sockets")

    @initialize(duplicates=st.sampled_from(["replace", "refuse", "allow"]))
    def begin(self, duplicates: Duplicates) -> None:
        self.duplicates = duplicates
        self.registry = make_registry(duplicates)
        self.model: dict[FakeSocket, set[tuple[str, str]]] = {}

    def makes_way(self, socket: FakeSocket, user: str) -> bool:
        """Whether the model lets a socket have a user; another one that has it goes, if it is to be replaced."""
        others = [other for other in self.model if other.user == user and other is not socket]
        if self.duplicates == "replace":
            for other in others:
                del self.model[other]
        return not (others and self.duplicates == "refuse")

    @rule(target=sockets, user=users)
    def admit(self, user: str) -> FakeSocket:
        socket = FakeSocket(self.registry)
        expected = self.makes_way(socket, user)
        assert self.registry.admit(socket, user) is expected
        if expected:
            assert socket.user == user
            self.model[socket] = set()
        return socket

    @rule(socket=sockets, user=users)
    def rename(self, socket: FakeSocket, user: str) -> None:
        if socket not in self.model:
            return
        before = socket.user
        expected = user == before or self.makes_way(socket, user)
        assert self.registry.rename(socket, user) is expected
        assert socket.user == (user if expected else before)

    @rule(socket=sockets, room=rooms)
    def join(self, socket: FakeSocket, room: tuple[str, str]) -> None:
        if socket not in self.model:
            return
        mine = self.model[socket]
        if room not in mine and len(mine) == MAX_ROOMS:
            with pytest.raises(EventError) as caught:
                self.registry.join(socket, *room)
            assert caught.value.code == "ROOM_LIMIT"
        else:
            assert self.registry.join(socket, *room) is (room not in mine)
            mine.add(room)

    @rule(socket=sockets, room=rooms)
    def leave(self, socket: FakeSocket, room: tuple[str, str]) -> None:
        was_in = room in self.model.get(socket, ())
        assert self.registry.leave(socket, *room) is was_in
        self.model.get(socket, set()).discard(room)

    @rule(socket=sockets)
    def drop(self, socket: FakeSocket) -> None:
        left = self.registry.drop(socket)
        assert {(namespace, id_) for namespace, ids in left.items() for id_ in ids} == self.model.pop(socket, set())

    def connected(self, *users: str) -> set[FakeSocket]:
        presence = self.registry.users
        found = presence.members if not users else [each for user in users for each in presence.of(user)]
        return set(found)

    @precondition(lambda self: self.duplicates != "allow")
    @invariant()
    def a_user_has_one_connection(self) -> None:
        assert all(len(self.registry.users.of(user)) <= 1 for user in USERS)

    @invariant()
    def equals_the_model(self) -> None:
        assert self.connected() == set(self.model)
        for user in USERS:
            assert self.connected(user) == {each for each in self.model if each.user == user}
        for namespace, id_ in (("chat", "1"), ("chat", "2"), ("game", "1"), ("game", "2")):
            inside = {socket for socket, mine in self.model.items() if (namespace, id_) in mine}
            assert {*self.registry.rooms.in_room(namespace, id_)} == inside
            assert self.registry.rooms.members(namespace, id_) == {socket.user for socket in inside}


TestRegistry: Any = RegistryMachine.TestCase
TestRegistry.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def connected(registry: Registry[FakeSocket], user: str) -> FakeSocket:
    socket = FakeSocket(registry)
    registry.admit(socket, user)
    return socket


def make_registry(duplicates: Duplicates) -> Registry[FakeSocket]:
    users: UserIndex[FakeSocket] = UserIndex()
    policy = DuplicatePolicy(duplicates, users, probe_timeout=1)
    return Registry(users, Limits(rooms=MAX_ROOMS), FanOut(lambda waiting: None), Subscriptions(), policy)


def test_the_older_connection_is_replaced_with_its_own_code() -> None:
    registry = make_registry("replace")
    older, newer = connected(registry, "1"), connected(registry, "1")
    assert (older.code, newer.code) == (4012, None)


def test_refusing_closes_no_connection() -> None:
    registry = make_registry("refuse")
    older, newer = connected(registry, "1"), connected(registry, "1")
    assert (older.code, newer.code) == (None, None)
    assert registry.users.of("1") == (older,)


def test_a_refused_rename_keeps_user_and_rooms() -> None:
    registry = make_registry("refuse")
    connected(registry, "1")
    socket = connected(registry, "2")
    registry.join(socket, "chat", "1")
    assert registry.rename(socket, "1") is False
    assert registry.users.of("2") == (socket,)
    assert registry.rooms.joined("2") == {"chat": {"1"}}
