"""The streams of a run: publishers and recipients, computed in the same way by every process."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

NODES = 3
ROOM = "r"
"""The namespace of all rooms."""
_ROOM_SIZE = 6
"""Members of a room, as many on each node: 2,000 messages a second to rooms are 12,000 deliveries."""
_USERS = 6
"""Users that get messages of their own, as many on each node."""
_ROUNDS = 5
"""Rounds of the rooms between two messages to everyone."""


@dataclass(frozen=True)
class Workload:
    """A cluster's clients, and how much is said to them.

    Every node publishes to every target: the rooms, some users, and everyone. What one node says to one target is a
    stream, numbered from 0; it is what order is kept in.

    Attributes:
        clients: connected to each node.
        rate: messages that all nodes together publish a second.
    """

    clients: int
    rate: int

    @property
    def rooms(self) -> int:
        """Number of rooms; each client is in one."""
        return self.clients * NODES // _ROOM_SIZE

    @property
    def targets(self) -> int:
        """Number of targets: rooms first, then users, then everyone."""
        return self.rooms + _USERS + 1

    @property
    def streams(self) -> int:
        """Number of streams, node by node."""
        return self.targets * NODES

    def node_of(self, client: int) -> int:
        """The node that a client is connected to."""
        return client % NODES

    def room_of(self, client: int) -> int:
        """The room that a client is in, together with clients of all nodes."""
        return client // _ROOM_SIZE

    def user_of(self, target: int) -> int | None:
        """The client that is a target of its own; None where the target is another."""
        return target - self.rooms if self.rooms <= target < self.rooms + _USERS else None

    def targets_of(self, client: int) -> list[int]:
        """The targets that a client is part of."""
        own = [self.rooms + client] if client < _USERS else []
        return [self.room_of(client), *own, self.targets - 1]

    def stream(self, node: int, target: int) -> int:
        """The stream of a node and a target."""
        return node * self.targets + target

    def origin(self, stream: int) -> int:
        """The node that a stream is of."""
        return stream // self.targets

    def cycle(self) -> list[int]:
        """The order in which a node says something to its targets, over and over."""
        users = range(self.rooms, self.rooms + _USERS)
        return [*chain.from_iterable([*range(self.rooms), *users] for _ in range(_ROUNDS)), self.targets - 1]

    def encode(self) -> dict[str, Any]:
        """Return keyword arguments that JSON can carry."""
        return asdict(self)


def user(client: int) -> str:
    """The user of a client."""
    return f"u{client}"


def node_name(node: int) -> str:
    """The name of a node."""
    return f"node{node}"
