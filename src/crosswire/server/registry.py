"""Who is connected to this server, and in which rooms."""

from __future__ import annotations

from typing import Literal

from crosswire.errors import EventError
from crosswire.rooms.fanout import FanOut
from crosswire.rooms.index import RoomIndex
from crosswire.rooms.presence import Presence
from crosswire.server.socket import Socket
from crosswire.types import CloseCode

Duplicates = Literal["replace", "refuse", "allow"]


class Registry:
    """The sockets that have a user: the users and rooms they are in, and what a user's second connection does.

    Args:
        duplicates: "replace" closes the older connection, "refuse" the newer one, "allow" keeps both.
        max_rooms: rooms of one connection.
        fanout: told before anything changes about who gets the messages it holds.

    Attributes:
        presence: the connections of each user.
        rooms: the rooms of each connection.
    """

    __slots__ = ("_duplicates", "_fanout", "_max_rooms", "presence", "rooms")

    def __init__(self, duplicates: Duplicates, max_rooms: int, fanout: FanOut) -> None:
        self._duplicates = duplicates
        self._max_rooms = max_rooms
        self._fanout = fanout
        self.presence: Presence[Socket] = Presence()
        self.rooms: RoomIndex[Socket] = RoomIndex()

    def admit(self, socket: Socket, user: str) -> bool:
        """Make a socket reachable under a user; False if the user's other connection keeps it out."""
        if self._keeps_out(user):
            return False
        if self._duplicates == "replace":
            for other in self.presence.of(user):
                other.close(CloseCode.REPLACED, "replaced by a newer connection of the same user")
        self._fanout.flush()
        self._fanout.use(socket.format)
        socket.user = user
        self.presence.add(socket)
        return True

    def rename(self, socket: Socket, user: str) -> bool:
        """Give a socket, which keeps its rooms, another user; False if that user's connection keeps it out."""
        if user == socket.user:
            return True
        if self._keeps_out(user):
            return False
        rooms = self.drop(socket)
        self.admit(socket, user)
        for namespace, ids in rooms.items():
            for id_ in ids:
                self.rooms.join(socket, namespace, id_)
        return True

    def drop(self, socket: Socket) -> dict[str, set[str]]:
        """Forget a socket, and return the rooms it was in. Another connection of its user is not touched."""
        self._fanout.flush()
        if self.presence.remove(socket):
            self._fanout.disuse(socket.format)
        return self.rooms.drop(socket)

    def join(self, socket: Socket, namespace: str, id: str) -> bool:
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
        return self.rooms.join(socket, namespace, id)

    def leave(self, socket: Socket, namespace: str, id: str) -> bool:
        """Let a socket leave a room; tell whether it was in it."""
        self._fanout.flush()
        return self.rooms.leave(socket, namespace, id)

    def _keeps_out(self, user: str) -> bool:
        return self._duplicates == "refuse" and bool(self.presence.of(user))
