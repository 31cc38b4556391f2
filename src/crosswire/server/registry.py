"""Who is connected to this server, and in which rooms."""

from __future__ import annotations

from typing import Generic, TypeVar

from crosswire.errors import EventError
from crosswire.rooms.fanout import FanOut
from crosswire.rooms.index import RoomIndex
from crosswire.rooms.users import UserIndex
from crosswire.server.duplicates import DuplicatePolicy
from crosswire.server.subscriptions import Subscriptions
from crosswire.server.user_connection import UserConnection

ConnectionT = TypeVar("ConnectionT", bound=UserConnection)


class Registry(Generic[ConnectionT]):
    """Connections that have a user, with the users and rooms they are in.

    Args:
        users: index of the connections by user.
        max_rooms: rooms of one connection.
        fanout: flushed before a change of who gets the messages it holds.
        subscriptions: follow the first and the last connection of each user and room.
        duplicates: decides which connection of a user stays.

    Attributes:
        users: as given.
        rooms: the rooms of each connection.
    """

    __slots__ = ("_duplicates", "_fanout", "_max_rooms", "_subscriptions", "rooms", "users")

    def __init__(
        self,
        users: UserIndex[ConnectionT],
        max_rooms: int,
        fanout: FanOut,
        subscriptions: Subscriptions,
        duplicates: DuplicatePolicy,
    ) -> None:
        self.users = users
        self._max_rooms = max_rooms
        self._fanout = fanout
        self._subscriptions = subscriptions
        self._duplicates = duplicates
        self.rooms: RoomIndex[ConnectionT] = RoomIndex()

    def admit(self, socket: ConnectionT, user: str) -> bool:
        """Make a socket reachable under a user; False if the user's other connection keeps it out."""
        if self._duplicates.keeps_out(socket, user):
            return False
        self._duplicates.close_older(user)
        self._fanout.flush()
        stamp = self._duplicates.stamp()
        if not self.users.of(user):
            self._subscriptions.add_user(user)
        self._fanout.add_format(socket.format)
        socket.user = user
        socket.stamp = stamp
        self.users.add(socket)
        return True

    def rename(self, socket: ConnectionT, user: str) -> bool:
        """Give a socket, which keeps its rooms, another user; False if that user's connection keeps it out."""
        if user == socket.user:
            return True
        if self._duplicates.keeps_out(socket, user):
            return False
        rooms = self.drop(socket)
        self.admit(socket, user)
        for namespace, ids in rooms.items():
            for id_ in ids:
                self._enter(socket, namespace, id_)
        return True

    def drop(self, socket: ConnectionT) -> dict[str, set[str]]:
        """Forget a socket, and return the rooms it was in. Another connection of its user is not touched."""
        self._fanout.flush()
        if self.users.remove(socket):
            self._fanout.remove_format(socket.format)
            if not self.users.of(socket.user):
                self._subscriptions.remove_user(socket.user)
        self._duplicates.withdraw(socket)
        rooms = self.rooms.drop(socket)
        for namespace, ids in rooms.items():
            for id_ in ids:
                self._left(namespace, id_)
        return rooms

    def join(self, socket: ConnectionT, namespace: str, id: str) -> bool:
        """Let a socket join a room; tell whether it was not yet in it.

        Raises:
            EventError: ``ROOM_LIMIT``, it is in as many rooms as it may be.
        """
        mine = self.rooms.rooms_of(socket)
        if id in mine.get(namespace, ()):
            return False
        if sum(len(ids) for ids in mine.values()) >= self._max_rooms:
            raise EventError("ROOM_LIMIT", f"a connection may be in {self._max_rooms} rooms at most")
        self._fanout.flush()
        self._enter(socket, namespace, id)
        return True

    def leave(self, socket: ConnectionT, namespace: str, id: str) -> bool:
        """Let a socket leave a room; tell whether it was in it."""
        self._fanout.flush()
        left = self.rooms.leave(socket, namespace, id)
        if left:
            self._left(namespace, id)
        return left

    def _enter(self, socket: ConnectionT, namespace: str, id: str) -> None:
        if not self.rooms.in_room(namespace, id):
            self._subscriptions.add_room(namespace, id)
        self.rooms.join(socket, namespace, id)

    def _left(self, namespace: str, id: str) -> None:
        if not self.rooms.in_room(namespace, id):
            self._subscriptions.remove_room(namespace, id)
