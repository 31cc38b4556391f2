"""Registry of the connections that have a user, and of the rooms they are in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Generic, TypeVar

from crosswire.core.limits import Limits
from crosswire.errors import EventError, NameTooLong
from crosswire.rooms.fanout import FanOut
from crosswire.rooms.index import RoomIndex
from crosswire.rooms.users import UserIndex
from crosswire.runtime import environment
from crosswire.server.duplicates import DuplicatePolicy, UserConnection
from crosswire.server.pending_joins import PendingJoin, PendingJoins
from crosswire.server.subscriptions import Subscriptions

ConnectionT = TypeVar("ConnectionT", bound=UserConnection)

JOINS_PERIOD = 10
"""Seconds over which the joins of a connection are averaged: so many rooms can be joined at once, after a while."""


class Registry(Generic[ConnectionT]):
    """Connections that have a user, with the users and rooms they are in.

    Args:
        users: index of the connections by user.
        limits: on names, on the rooms of one connection, and on how many it joins a second.
        fanout: flushed before users or rooms change, as it holds messages for the members that they had.
        subscriptions: changed with the first and the last connection of each user and room; a join that waits counts
            as one.
        duplicates: decides which connection of a user stays.

    Attributes:
        users: as given.
        rooms: the rooms of each connection.
        pending: the joins that wait.
    """

    __slots__ = ("_duplicates", "_fanout", "_limits", "_subscriptions", "pending", "rooms", "users")

    def __init__(
        self,
        users: UserIndex[ConnectionT],
        limits: Limits,
        fanout: FanOut,
        subscriptions: Subscriptions,
        duplicates: DuplicatePolicy,
    ) -> None:
        self.users = users
        self._limits = limits
        self._fanout = fanout
        self._subscriptions = subscriptions
        self._duplicates = duplicates
        self.rooms: RoomIndex[ConnectionT] = RoomIndex()
        self.pending: PendingJoins[ConnectionT] = PendingJoins()

    def admit(self, connection: ConnectionT, user: str) -> bool:
        """Register a connection under a user; return False if another connection of the user keeps it out."""
        others = self.users.of(user)
        if others:
            if self._duplicates.keeps_out(connection, user):
                return False
            self._duplicates.close_older(user)
            others = self.users.of(user)
        if self._fanout.held_for is not None:
            self._fanout.flush()
        stamp = self._duplicates.stamp()
        if not others:
            self._subscriptions.add_user(user)
        self._fanout.add_format(connection.format)
        connection.user = user
        connection.stamp = stamp
        self.users.add(connection)
        return True

    def rename(self, connection: ConnectionT, user: str) -> bool:
        """Move a connection and its rooms to another user; return False if that user's connection keeps it out.

        Raises:
            NameTooLong: the user's id is longer than the limit.
        """
        self._require_length("a user id", user)
        if user == connection.user:
            return True
        if self._duplicates.keeps_out(connection, user):
            return False
        self._duplicates.close_older(user)  # while this one is in its rooms: they keep what they know
        self._fanout.flush()
        rooms = self.rooms.drop(connection)
        self._remove_user(connection)
        self.admit(connection, user)
        for namespace, ids in rooms.items():
            for id_ in ids:
                self.rooms.join(connection, namespace, id_)
        return True

    def drop(self, connection: ConnectionT) -> Mapping[str, Collection[str]]:
        """Remove a connection, and return the rooms it was in. Other connections of its user are not touched."""
        if self._fanout.held_for is not None:
            self._fanout.flush()
        self._remove_user(connection)
        for join in tuple(self.pending.of(connection)):
            self.cancel_join(join)
        rooms = self.rooms.drop(connection)
        for namespace, ids in rooms.items():
            for id_ in ids:
                self._left(namespace, id_)
        return rooms

    def _remove_user(self, connection: ConnectionT) -> None:
        if self.users.remove(connection):
            self._fanout.remove_format(connection.format)
            if not self.users.of(connection.user):
                self._subscriptions.remove_user(connection.user)
        self._duplicates.withdraw(connection)

    # Rooms

    def join(self, connection: ConnectionT, namespace: str, id: str) -> bool:
        """Add a connection to a room; return whether it was not in it before.

        Raises:
            EventError: ``ROOM_LIMIT``, it is in as many rooms as it may be; ``JOIN_RATE``, it has just joined as many.
            NameTooLong: the namespace or the id is longer than the limit.
        """
        if not self._may_join(connection, namespace, id):
            return False
        self._fanout.flush()
        self._need(namespace, id)
        self.rooms.join(connection, namespace, id)
        return True

    def begin_join(self, connection: ConnectionT, namespace: str, id: str) -> PendingJoin[ConnectionT] | None:
        """Hold a room for a connection that will be in it later; return None if it is in it.

        The server hears the room from now on. :meth:`finish_join` or :meth:`cancel_join` ends it; until then it counts
        as a room of the connection.

        Raises:
            EventError, NameTooLong: as :meth:`join`.
        """
        if not self._may_join(connection, namespace, id):
            return None
        self._need(namespace, id)
        join = PendingJoin(connection, namespace, id)
        self.pending.add(join)
        return join

    def finish_join(self, join: PendingJoin[ConnectionT]) -> None:
        """Add the connection of a join that is not over to its room; others of it for the same room are over too."""
        self._fanout.flush()
        self.rooms.join(join.connection, join.namespace, join.id)
        self.pending.take(join.connection, join.namespace, join.id)

    def cancel_join(self, join: PendingJoin[ConnectionT]) -> None:
        """End a join, unless it is over."""
        if self.pending.remove(join):
            self._left(join.namespace, join.id)

    def leave(self, connection: ConnectionT, namespace: str, id: str) -> bool:
        """Remove a connection from a room; return whether it was in it, or about to be."""
        self._fanout.flush()
        left = self.rooms.leave(connection, namespace, id)
        if self.pending.take(connection, namespace, id) or left:
            self._left(namespace, id)
            return True
        return False

    def _may_join(self, connection: ConnectionT, namespace: str, id: str) -> bool:
        """Return False if a connection is in a room; count a join of another room."""
        self._require_length("a room's namespace", namespace)
        self._require_length("a room's id", id)
        mine = self.rooms.rooms_of(connection)
        if id in mine.get(namespace, ()):
            return False
        pending = self.pending.rooms_of(connection)
        if (namespace, id) not in pending:
            if sum(len(ids) for ids in mine.values()) + len(pending) >= self._limits.rooms:
                raise EventError("ROOM_LIMIT", f"a connection may be in {self._limits.rooms} rooms at most")
            self._count_join(connection)
        return True

    def _count_join(self, connection: ConnectionT) -> None:
        now = environment.monotonic()
        until = max(connection.joins_until, now) + 1 / self._limits.joins
        if until > now + JOINS_PERIOD:
            raise EventError("JOIN_RATE", f"a connection may join {self._limits.joins} rooms a second on average")
        connection.joins_until = until

    def _require_length(self, what: str, name: str) -> None:
        if len(name) > self._limits.name:
            raise NameTooLong(what, self._limits.name)

    def _need(self, namespace: str, id: str) -> None:
        """Subscribe to a room, unless that is done."""
        if not self._is_needed(namespace, id):
            self._subscriptions.add_room(namespace, id)

    def _left(self, namespace: str, id: str) -> None:
        """Unsubscribe from a room that nobody needs any more."""
        if not self._is_needed(namespace, id):
            self._subscriptions.remove_room(namespace, id)

    def _is_needed(self, namespace: str, id: str) -> bool:
        return bool(self.rooms.in_room(namespace, id) or self.pending.in_room(namespace, id))
