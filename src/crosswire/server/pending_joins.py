"""The joins that wait: the server hears their rooms already, but their connections are not in them yet."""

from __future__ import annotations

from collections.abc import Collection
from typing import Generic, TypeVar

ConnectionT = TypeVar("ConnectionT")


class PendingJoin(Generic[ConnectionT]):
    """A connection that is about to be in a room.

    Attributes:
        connection: as given.
        namespace: of the room.
        id: of the room.
        is_over: whether it has ended: the connection is in the room, or will not be.
    """

    __slots__ = ("connection", "id", "is_over", "namespace")

    def __init__(self, connection: ConnectionT, namespace: str, id: str) -> None:
        self.connection = connection
        self.namespace = namespace
        self.id = id
        self.is_over = False


class PendingJoins(Generic[ConnectionT]):
    """Index of the joins that wait, by room and by connection. A connection may have several for one room."""

    __slots__ = ("_by_connection", "_by_room")

    def __init__(self) -> None:
        self._by_room: dict[tuple[str, str], dict[PendingJoin[ConnectionT], None]] = {}
        self._by_connection: dict[ConnectionT, dict[PendingJoin[ConnectionT], None]] = {}

    def add(self, join: PendingJoin[ConnectionT]) -> None:
        """Add a join that begins."""
        self._by_room.setdefault((join.namespace, join.id), {})[join] = None
        self._by_connection.setdefault(join.connection, {})[join] = None

    def remove(self, join: PendingJoin[ConnectionT]) -> bool:
        """Remove a join, which is over; return False if it was already."""
        if join.is_over:
            return False
        join.is_over = True
        _remove(self._by_room, (join.namespace, join.id), join)
        _remove(self._by_connection, join.connection, join)
        return True

    def take(self, connection: ConnectionT, namespace: str, id: str) -> bool:
        """Remove all joins of a connection for one room; return whether there were any."""
        found = [join for join in self.of(connection) if join.namespace == namespace and join.id == id]
        for join in found:
            self.remove(join)
        return bool(found)

    def of(self, connection: ConnectionT) -> Collection[PendingJoin[ConnectionT]]:
        """Return the joins of a connection: the index's own collection, which must not be kept."""
        return self._by_connection.get(connection, ())

    def in_room(self, namespace: str, id: str) -> Collection[PendingJoin[ConnectionT]]:
        """Return the joins for a room: the index's own collection, which must not be kept."""
        return self._by_room.get((namespace, id), ())

    def ids(self, namespace: str) -> set[str]:
        """Return the ids of the rooms of a namespace for which joins wait."""
        return {id_ for space, id_ in self._by_room if space == namespace}

    def rooms_of(self, connection: ConnectionT) -> Collection[tuple[str, str]]:
        """Return the rooms that a connection is about to be in."""
        joins = self._by_connection.get(connection)
        return {(join.namespace, join.id) for join in joins} if joins else ()


_KeyT = TypeVar("_KeyT")
_ItemT = TypeVar("_ItemT")


def _remove(index: dict[_KeyT, dict[_ItemT, None]], key: _KeyT, item: _ItemT) -> None:
    items = index[key]
    del items[item]
    if not items:
        del index[key]
