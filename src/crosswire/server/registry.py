"""Who is connected to this server, and in which rooms."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from crosswire.errors import EventError
from crosswire.rooms.fanout import FanOut
from crosswire.rooms.index import RoomIndex
from crosswire.rooms.users import UserIndex
from crosswire.server.interest import Duplicates, Interest
from crosswire.server.user_connection import UserConnection
from crosswire.types import CloseCode

ConnectionT = TypeVar("ConnectionT", bound=UserConnection)


class Registry(Generic[ConnectionT]):
    """The sockets that have a user: the users and rooms they are in, and what a user's second connection does.

    Args:
        duplicates: "replace" closes the older connection, "refuse" the newer one, "allow" keeps both.
        max_rooms: rooms of one connection.
        fanout: told before anything changes about who gets the messages it holds.
        interest: told of the first and the last connection of each user and room.

    Attributes:
        duplicates: as given.
        users: the connections of each user.
        rooms: the rooms of each connection.
    """

    __slots__ = ("_fanout", "_interest", "_max_rooms", "duplicates", "rooms", "users")

    def __init__(self, duplicates: Duplicates, max_rooms: int, fanout: FanOut, interest: Interest) -> None:
        self._interest = interest
        self.duplicates = duplicates
        self._max_rooms = max_rooms
        self._fanout = fanout
        self.users: UserIndex[ConnectionT] = UserIndex()
        self.rooms: RoomIndex[ConnectionT] = RoomIndex()

    def keeps_out(self, socket: ConnectionT, user: str) -> bool:
        """Tell whether another connection of a user keeps this one from becoming the user's."""
        return self.duplicates == "refuse" and any(other is not socket for other in self.users.of(user))

    async def make_way(self, user: str) -> None:
        """Drop those connections of a user whose peers do not answer a ping: the dead keep nobody out."""
        await asyncio.gather(*[socket.drop_if_dead() for socket in self.users.of(user)])

    def admit(self, socket: ConnectionT, user: str) -> bool:
        """Make a socket reachable under a user; False if the user's other connection keeps it out."""
        if self.keeps_out(socket, user):
            return False
        if self.duplicates == "replace":
            for other in self.users.of(user):
                other.close(CloseCode.REPLACED, "replaced by a newer connection of the same user")
        self._fanout.flush()
        stamp = self._interest.stamp()
        if not self.users.of(user):
            self._interest.open_user(user)
        self._fanout.add_format(socket.format)
        socket.user = user
        socket.stamp = stamp
        self.users.add(socket)
        return True

    def rename(self, socket: ConnectionT, user: str) -> bool:
        """Give a socket, which keeps its rooms, another user; False if that user's connection keeps it out."""
        if user == socket.user:
            return True
        if self.keeps_out(socket, user):
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
                self._interest.close_user(socket.user)
        self._interest.gone(socket)
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
            self._interest.open_room(namespace, id)
        self.rooms.join(socket, namespace, id)

    def _left(self, namespace: str, id: str) -> None:
        if not self.rooms.in_room(namespace, id):
            self._interest.close_room(namespace, id)
