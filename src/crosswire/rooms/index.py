"""The rooms of this server and their members."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from crosswire.core.formats import AnyOutbox
from crosswire.core.names import require_name
from crosswire.rooms.recipient import Recipient

MemberT = TypeVar("MemberT", bound=Recipient)


class RoomQueries(Protocol):
    """Queries of the rooms on this server alone, answered at once: ``server.local_rooms``.

    With ``prefix=True``, the last name is a prefix of the names to look for.
    """

    def members(self, namespace: str, id: str | None = None, *, prefix: bool = False) -> set[str]:
        """Return the users in a room, or in all rooms of a namespace."""
        ...

    def count(self, namespace: str, id: str | None = None, *, prefix: bool = False) -> int:
        """Return the number of :meth:`members`."""
        ...

    def ids(self, namespace: str, *, prefix: bool = False) -> set[str]:
        """Return the ids of a namespace's rooms that have members."""
        ...

    def joined(self, user: str, namespace_prefix: str | None = None) -> dict[str, set[str]]:
        """Return the rooms of a user: namespace -> ids."""
        ...

    def has(self, user: str, namespace: str, id: str | None = None) -> bool:
        """Return whether a user is in a room, or in any room of a namespace."""
        ...


class LocalRoom(Generic[MemberT]):
    """Members of a room that are connected to this server.

    Attributes:
        members: the connections with their outboxes.
        users: number of the connections of each user.
        shared: number of the connections that are in other rooms too; without such, no other room has a member of it.
    """

    __slots__ = ("members", "shared", "users")

    def __init__(self) -> None:
        self.members: dict[MemberT, AnyOutbox] = {}  # in order, so that what depends on it can be repeated
        self.users: dict[str, int] = {}
        self.shared = 0

    def add(self, member: MemberT) -> None:
        """Add a connection that is not in the room."""
        self.members[member] = member.outbox
        self.users[member.user] = self.users.get(member.user, 0) + 1

    def discard(self, member: MemberT) -> None:
        """Remove a connection that is in the room."""
        self.members.pop(member, None)
        self.users[member.user] -= 1
        if not self.users[member.user]:
            del self.users[member.user]


class RoomIndex(Generic[MemberT]):
    """Index of rooms by namespace and id, and of the rooms of each connection. A room exists while it has members.

    Joining, leaving and finding a room's members are O(1) in the number of other rooms, users and connections.

    Attributes:
        by_namespace: the rooms by namespace and id; only the index changes it.
    """

    __slots__ = ("_rooms_of", "_rooms_of_user", "by_namespace")

    def __init__(self) -> None:
        self.by_namespace: dict[str, dict[str, LocalRoom[MemberT]]] = {}
        self._rooms_of: dict[MemberT, dict[str, dict[str, None]]] = {}  # ids in order, as above
        self._rooms_of_user: dict[str, tuple[MemberT, ...]] = {}

    def join(self, member: MemberT, namespace: str, id: str) -> bool:
        """Add a connection to a room; return False if it was in it already."""
        mine = self._rooms_of.get(member)
        if mine is None:
            mine = self._rooms_of[member] = {}
            self._rooms_of_user[member.user] = (*self._rooms_of_user.get(member.user, ()), member)
        ids = mine.get(namespace, {})
        if id in ids:
            return False
        rooms = self.by_namespace.setdefault(namespace, {})
        room = rooms.get(id)
        if room is None:
            room = rooms[id] = LocalRoom()
        if mine:
            room.shared += 1
            self._share_only(mine, 1)
        mine[namespace] = ids
        ids[id] = None
        room.add(member)
        return True

    def leave(self, member: MemberT, namespace: str, id: str) -> bool:
        """Remove a connection from a room; return False if it was not in it."""
        mine = self._rooms_of.get(member)
        if mine is None or id not in mine.get(namespace, ()):
            return False
        del mine[namespace][id]
        if not mine[namespace]:
            del mine[namespace]
        self._remove(member, namespace, id, bool(mine))
        if mine:
            self._share_only(mine, -1)
        else:
            self._forget(member)
        return True

    def drop(self, member: MemberT) -> Mapping[str, Collection[str]]:
        """Remove a connection from all its rooms; return these rooms: namespace -> ids."""
        rooms = self._rooms_of.get(member)
        if rooms is None:
            return {}
        is_shared = len(rooms) > 1 or len(next(iter(rooms.values()))) > 1
        for namespace, ids in rooms.items():
            for id_ in ids:
                self._remove(member, namespace, id_, is_shared)
        self._forget(member)
        return rooms

    def in_room(self, namespace: str, id: str) -> Mapping[MemberT, AnyOutbox]:
        """Return the connections in a room with their outboxes: the index's own mapping, which must not be kept."""
        rooms = self.by_namespace.get(namespace)
        room = None if rooms is None else rooms.get(id)
        return {} if room is None else room.members

    def users_in(self, namespace: str, id: str) -> Collection[str]:
        """Return the users in a room: the index's own collection, which must not be kept."""
        room = self.by_namespace.get(namespace, {}).get(id)
        return () if room is None else room.users

    def rooms_of(self, member: MemberT) -> Mapping[str, Collection[str]]:
        """Return the rooms of a connection: namespace -> ids; the index's own mapping, which must not be kept."""
        return self._rooms_of.get(member, {})

    @property
    def number(self) -> int:
        """Number of rooms that have members."""
        return sum(map(len, self.by_namespace.values()))

    def sizes(self, namespace: str | None, prefix: str) -> Iterator[tuple[str, str, int]]:
        """Yield namespace, id and number of users of each room, in a namespace or in all."""
        spaces = self.by_namespace.items() if namespace is None else [(namespace, self.by_namespace.get(namespace, {}))]
        for space, rooms in spaces:
            for id_, room in rooms.items():
                if id_.startswith(prefix):
                    yield space, id_, len(room.users)

    # RoomQueries

    def members(self, namespace: str, id: str | None = None, *, prefix: bool = False) -> set[str]:
        """Return the users in a room, or in all rooms of a namespace; see :class:`RoomQueries`."""

        users: set[str] = set()
        for room in self._matching(namespace, id, prefix):
            users.update(room.users)
        return users

    def count(self, namespace: str, id: str | None = None, *, prefix: bool = False) -> int:
        """Return the number of members; see :class:`RoomQueries`."""

        if id is not None and not prefix:
            return sum(len(room.users) for room in self._matching(namespace, id, prefix))
        return len(self.members(namespace, id, prefix=prefix))

    def ids(self, namespace: str, *, prefix: bool = False) -> set[str]:
        """Return the ids of a namespace's rooms; see :class:`RoomQueries`."""

        return {id_ for rooms in self._namespaces(namespace, prefix) for id_ in rooms}

    def joined(self, user: str, namespace_prefix: str | None = None) -> dict[str, set[str]]:
        """Return the rooms of a user; see :class:`RoomQueries`."""

        require_name(user, "a user id")
        joined: dict[str, set[str]] = {}
        for member in self._rooms_of_user.get(user, ()):
            for namespace, ids in self._rooms_of[member].items():
                if namespace_prefix is None or namespace.startswith(namespace_prefix):
                    joined.setdefault(namespace, set()).update(ids)
        return joined

    def has(self, user: str, namespace: str, id: str | None = None) -> bool:
        """Return whether a user is in a room; see :class:`RoomQueries`."""

        require_name(user, "a user id")
        require_name(namespace, "a room's namespace")
        mine = (self._rooms_of[member].get(namespace) for member in self._rooms_of_user.get(user, ()))
        return any(ids and (id is None or id in ids) for ids in mine)

    def _namespaces(self, namespace: str, prefix: bool) -> Iterator[dict[str, LocalRoom[MemberT]]]:
        require_name(namespace, "a room's namespace")
        if prefix:
            yield from (rooms for name, rooms in self.by_namespace.items() if name.startswith(namespace))
        elif namespace in self.by_namespace:
            yield self.by_namespace[namespace]

    def _matching(self, namespace: str, id: str | None, prefix: bool) -> Iterator[LocalRoom[MemberT]]:
        if id is None:
            for rooms in self._namespaces(namespace, prefix):
                yield from rooms.values()
            return
        require_name(id, "a room's id")
        for rooms in self._namespaces(namespace, prefix=False):
            if prefix:
                yield from (room for name, room in rooms.items() if name.startswith(id))
            elif id in rooms:
                yield rooms[id]

    def _share_only(self, mine: Mapping[str, Collection[str]], change: int) -> None:
        """Count in a room that a member is in another room now, or in no other any more, if it is in one room."""
        if len(mine) == 1:
            ((namespace, ids),) = mine.items()
            if len(ids) == 1:
                (id_,) = ids
                self.by_namespace[namespace][id_].shared += change

    def _remove(self, member: MemberT, namespace: str, id: str, is_shared: bool) -> None:
        rooms = self.by_namespace[namespace]
        room = rooms[id]
        if is_shared:
            room.shared -= 1
        room.discard(member)
        if not room.members:
            del rooms[id]
            if not rooms:
                del self.by_namespace[namespace]

    def _forget(self, member: MemberT) -> None:
        del self._rooms_of[member]
        others = tuple(each for each in self._rooms_of_user[member.user] if each is not member)
        if others:
            self._rooms_of_user[member.user] = others
        else:
            del self._rooms_of_user[member.user]
