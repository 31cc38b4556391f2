"""Rooms: who is in them, who owns them, and the messages that they have kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NewType


@dataclass(frozen=True, slots=True)
class Roster:
    """Members of a room. Iterating, ``len`` and ``in`` are about the users.

    Attributes:
        users: user ids, each once.
        missing: names of the nodes that did not answer.
    """

    users: frozenset[str] = field(default_factory=frozenset)
    missing: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[str]:
        return iter(self.users)

    def __len__(self) -> int:
        return len(self.users)

    def __contains__(self, user: object) -> bool:
        return user in self.users


class RoomInfo(NamedTuple):
    """A room that has members.

    Attributes:
        namespace: of the room.
        id: of the room.
        nodes: name of a node -> number of members that are connected to it.
    """

    namespace: str
    id: str
    nodes: dict[str, int]

    @property
    def members(self) -> int:
        """Number of members; who is connected to several nodes is counted on each."""
        return sum(self.nodes.values())


@dataclass(frozen=True, slots=True)
class RoomList:
    """Rooms that have members: the first ones in order of their namespaces and ids.

    Attributes:
        rooms: in order.
        total: number of rooms, with those that are not listed.
        exact: whether that is their number. If not, there are at least as many.
        missing: names of the nodes that did not answer.
    """

    rooms: tuple[RoomInfo, ...] = ()
    total: int = 0
    exact: bool = True
    missing: tuple[str, ...] = ()


class OwnerChange(NamedTuple):
    """A room that has another owner than before, as one node sees it.

    Attributes:
        namespace: of the room.
        id: of the room.
        owner: name of the node that owns it now; None if no living node may.
        previous: name of the node that owned it before; None if there was none.
    """

    namespace: str
    id: str
    owner: str | None
    previous: str | None


Position = NewType("Position", str)
"""A place in the history of a room: behind one message, and all before it. It is to be kept and compared, not read."""


class HistoryMessage(NamedTuple):
    """A message that a room has kept.

    Attributes:
        event: its name.
        data: as it was sent.
        position: behind the message.
        time: when it was kept, in seconds since 1970 by the clock of the log.
    """

    event: str
    data: Any
    position: Position
    time: float


class HistoryPage(NamedTuple):
    """Messages that a room has kept.

    Attributes:
        messages: newest last.
        complete: whether everything that was said before them, since the room's log began, is still kept.
    """

    messages: tuple[HistoryMessage, ...]
    complete: bool


class RoomState(NamedTuple):
    """The state of a room that keeps history, as a client knows it after a join, and whenever it changes.

    Attributes:
        namespace: of the room.
        id: of the room.
        recovered: True if everything that was said since the client's position has reached it, or is about to; False
            if that can't be known; None when it had no position, as at the first join.
        reason: why it is False: "epoch", "trimmed", "expired", "too-much", "ahead" or "unavailable"; else None.
    """

    namespace: str
    id: str
    recovered: bool | None
    reason: str | None = None
