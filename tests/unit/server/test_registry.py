from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from crosswire.cluster.client_channels import ClientChannels
from crosswire.core.limits import Limits
from crosswire.errors import EventError
from crosswire.rooms.fanout import FanOut
from crosswire.rooms.users import UserIndex
from crosswire.server.duplicates import DuplicatePolicy, Duplicates
from crosswire.server.pending_joins import PendingJoin
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


class CheckedChannels:
    """Channels that are subscribed once, and unsubscribed once, by turns."""

    def __init__(self) -> None:
        self.users: list[str] = []
        self.rooms: list[tuple[str, str]] = []
        self.resubscribed = 0

    def stamp(self) -> int:
        return 0

    def subscribe_user(self, user: str) -> None:
        assert user not in self.users
        self.users.append(user)

    def unsubscribe_user(self, user: str) -> None:
        self.users.remove(user)

    def subscribe_room(self, namespace: str, id: str) -> None:
        assert (namespace, id) not in self.rooms
        self.rooms.append((namespace, id))
        self.resubscribed += 1

    def unsubscribe_room(self, namespace: str, id: str) -> None:
        self.rooms.remove((namespace, id))


class RegistryMachine(RuleBasedStateMachine):
    """A registry, and who should be connected in which rooms."""

    sockets = Bundle[FakeSocket]("sockets")
    joins = Bundle[Any]("joins")

    @initialize(duplicates=st.sampled_from(["replace", "refuse", "allow"]))
    def begin(self, duplicates: Duplicates) -> None:
        self.duplicates = duplicates
        self.channels = CheckedChannels()
        self.registry = make_registry(duplicates, self.channels)
        self.model: dict[FakeSocket, set[tuple[str, str]]] = {}
        self.pending: list[PendingJoin[FakeSocket]] = []

    def is_waiting(self, socket: FakeSocket, room: tuple[str, str]) -> bool:
        return any(join.connection is socket and (join.namespace, join.id) == room for join in self.pending)

    def forget(self, socket: FakeSocket, *rooms: tuple[str, str]) -> None:
        """Forget the joins of a socket in the model: of some rooms, or all."""
        self.pending = [
            join
            for join in self.pending
            if join.connection is not socket or (rooms and (join.namespace, join.id) not in rooms)
        ]

    def is_full(self, socket: FakeSocket) -> bool:
        waiting = {(join.namespace, join.id) for join in self.pending if join.connection is socket}
        return len(self.model[socket]) + len(waiting) >= MAX_ROOMS

    def makes_way(self, socket: FakeSocket, user: str) -> bool:
        """Whether the model lets a socket have a user; another one that has it goes, if it is to be replaced."""
        others = [other for other in self.model if other.user == user and other is not socket]
        if self.duplicates == "replace":
            for other in others:
                del self.model[other]
                self.forget(other)
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
        held, self.channels.resubscribed = set(self.model[socket]), 0
        assert self.registry.rename(socket, user) is expected
        assert held <= {*self.channels.rooms}
        assert self.channels.resubscribed == 0, "what is known of the rooms is lost"
        assert socket.user == (user if expected else before)

    @rule(socket=sockets, room=rooms)
    def join(self, socket: FakeSocket, room: tuple[str, str]) -> None:
        if socket not in self.model:
            return
        mine = self.model[socket]
        if room not in mine and not self.is_waiting(socket, room) and self.is_full(socket):
            with pytest.raises(EventError) as caught:
                self.registry.join(socket, *room)
            assert caught.value.code == "ROOM_LIMIT"
        else:
            assert self.registry.join(socket, *room) is (room not in mine)
            mine.add(room)

    @rule(target=joins, socket=sockets, room=rooms)
    def begin_join(self, socket: FakeSocket, room: tuple[str, str]) -> PendingJoin[FakeSocket] | None:
        if socket not in self.model:
            return None
        if room in self.model[socket]:
            assert self.registry.begin_join(socket, *room) is None
            return None
        if not self.is_waiting(socket, room) and self.is_full(socket):
            with pytest.raises(EventError) as caught:
                self.registry.begin_join(socket, *room)
            assert caught.value.code == "ROOM_LIMIT"
            return None
        join = self.registry.begin_join(socket, *room)
        assert join is not None
        self.pending.append(join)
        return join

    @rule(join=joins, succeeds=st.booleans())
    def end_join(self, join: PendingJoin[FakeSocket] | None, succeeds: bool) -> None:
        if join is None:
            return
        assert join.is_over is (join not in self.pending)
        room = join.namespace, join.id
        if succeeds and not join.is_over:
            self.registry.finish_join(join)
            self.model[join.connection].add(room)
            self.forget(join.connection, room)
        elif join in self.pending:
            self.registry.cancel_join(join)
            self.pending.remove(join)
        self.registry.cancel_join(join)
        assert join.is_over

    @rule(socket=sockets, room=rooms)
    def leave(self, socket: FakeSocket, room: tuple[str, str]) -> None:
        was_in = room in self.model.get(socket, ()) or self.is_waiting(socket, room)
        assert self.registry.leave(socket, *room) is was_in
        self.model.get(socket, set()).discard(room)
        self.forget(socket, room)

    @rule(socket=sockets)
    def drop(self, socket: FakeSocket) -> None:
        self.forget(socket)
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

    @invariant()
    def hears_what_somebody_needs(self) -> None:
        needed = {room for mine in self.model.values() for room in mine}
        needed |= {(join.namespace, join.id) for join in self.pending}
        assert {*self.channels.rooms} == needed
        assert {*self.channels.users} == {socket.user for socket in self.model}
        for socket in self.model:
            joins = [join for join in self.pending if join.connection is socket]
            assert [*self.registry.pending.of(socket)] == joins


TestRegistry: Any = RegistryMachine.TestCase
TestRegistry.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def connected(registry: Registry[FakeSocket], user: str) -> FakeSocket:
    socket = FakeSocket(registry)
    registry.admit(socket, user)
    return socket


def make_registry(duplicates: Duplicates, channels: CheckedChannels | None = None) -> Registry[FakeSocket]:
    users: UserIndex[FakeSocket] = UserIndex()
    policy = DuplicatePolicy(duplicates, users, probe_timeout=1)
    subscriptions = Subscriptions()
    if channels is not None:
        subscriptions.attach(lambda: cast(ClientChannels, channels))
    return Registry(users, Limits(rooms=MAX_ROOMS), FanOut(lambda waiting: None), subscriptions, policy)


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
