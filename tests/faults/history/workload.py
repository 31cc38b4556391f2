"""The rooms with history, the streams and the clients of a run, computed in the same way by every process."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tests.faults.workload import ROOM

NAMESPACE = ROOM
"""Of all rooms; it keeps history."""
NODES = 3
"""Servers at a time."""


@dataclass(frozen=True)
class RoomWorkload:
    """The rooms and clients of a cluster. All servers listen on one port; clients come to any of them.

    Every process of a server, also one that takes the place of another, says something in every room. What one process
    says in one room is a stream, numbered from 0.

    Attributes:
        clients: at all servers together; each is in two rooms.
        rooms: number of rooms; at least two.
        rate: messages that all servers together publish a second.
        size: messages that a room keeps.
    """

    clients: int
    rooms: int
    rate: int
    size: int

    def rooms_of(self, client: int) -> list[int]:
        """The two rooms that a client is in."""
        first = client % self.rooms
        return [first, (first + 1 + client // self.rooms % (self.rooms - 1)) % self.rooms]

    def stream(self, life: int, room: int) -> int:
        """The stream of a server's process in a room."""
        return life * self.rooms + room

    def room(self, stream: int) -> int:
        """The room that a stream is for."""
        return stream % self.rooms

    def life(self, stream: int) -> int:
        """The process that a stream is of."""
        return stream // self.rooms

    def encode(self) -> dict[str, Any]:
        """Return keyword arguments that JSON can carry."""
        return asdict(self)


def user(client: int) -> str:
    """The user of a client; none begins like another."""
    return f"u{client:05d}"
