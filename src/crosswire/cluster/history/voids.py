"""Rooms in which messages were delivered that their logs do not have, until a new epoch begins there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from crosswire.core.audience import ToRoom
from crosswire.runtime import environment
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings

MAX_VOID = 100_000
"""Void rooms that are remembered, once for each node that says so; beyond it, the oldest is forgotten."""
TAKE_OVER_WITHIN = 1.0
"""Seconds within which nodes take over from one that is gone, each at a random time, so that one of them is first."""
OWNER_TIMEOUT = 15.0
"""Seconds that a living node has to begin a new epoch in a room whose log can be reached."""

NOBODY = ""
"""The name in place of a node's, where no node is known to begin the new epoch."""

logger = get_logger("crosswire.history")


class VoidRooms:
    """Rooms that are void, each with the names of the nodes that delivered messages which the room's log does not have.

    Such a node begins a new epoch as soon as the log can be reached. The others remember the room all the same, also if
    they have no members in it: a position from before must not be good for a recovery. If that node is gone, one of the
    others begins the epoch.

    Args:
        own: name of this node.
    """

    __slots__ = ("_own", "_rooms", "_warnings")

    def __init__(self, own: str) -> None:
        self._own = own
        self._rooms: dict[tuple[ToRoom, str], float] = {}  # when this node begins the epoch
        self._warnings = ThrottledWarnings(logger)

    def __contains__(self, room: ToRoom) -> bool:
        return any(each == room for each, _ in self._rooms)

    def __len__(self) -> int:
        return len(self._rooms)

    def note(self, room: ToRoom, owner: str) -> None:
        """Take note that a node has delivered messages which the log of a room does not have."""
        if (room, owner) in self._rooms:
            return
        delay = environment.random() * TAKE_OVER_WITHIN if owner == NOBODY else OWNER_TIMEOUT
        self._rooms[room, owner] = environment.monotonic() + delay
        if len(self._rooms) > MAX_VOID:
            del self._rooms[next(iter(self._rooms))]
            self._warnings.warn("void", "more than %d rooms are void: the oldest are forgotten", MAX_VOID)

    def began(self, room: ToRoom, owners: Iterable[str]) -> None:
        """Forget that a room is void for the messages of some nodes, as a new epoch has begun since then."""
        for owner in owners:
            self._rooms.pop((room, owner), None)

    def resolved(self, room: ToRoom, living: Collection[str]) -> None:
        """Forget that a room is void for nodes that are gone, as a new epoch was heard to begin since then."""
        if self._rooms:
            self.began(room, [owner for owner in self.owners(room) if owner != self._own and owner not in living])

    def owners(self, room: ToRoom) -> list[str]:
        """Return the names of the nodes for which a room is void."""
        return [owner for each, owner in self._rooms if each == room]

    def for_newcomer(self, living: Collection[str]) -> list[ToRoom]:
        """Return the rooms of which this node tells one that has joined: its own, and those of nodes that are gone."""
        return [room for room, owner in self._rooms if owner == self._own or owner not in living]

    def node_left(self, name: str) -> None:
        """Take over from a node that is gone, a little later."""
        now = environment.monotonic()
        for (room, owner), due in self._rooms.items():
            if owner == name:
                self._rooms[room, owner] = min(due, now + environment.random() * TAKE_OVER_WITHIN)

    def due(self, living: Collection[str], is_available: Callable[[ToRoom], bool]) -> list[ToRoom]:
        """Return the rooms in which this node is to begin a new epoch now; each is due again later.

        Args:
            living: names of the other nodes.
            is_available: whether the log of a room can be reached.
        """
        now = environment.monotonic()
        rooms: list[ToRoom] = []
        for (room, owner), due in self._rooms.items():
            if owner == self._own:  # its queue begins it
                continue
            if not is_available(room):
                self._rooms[room, owner] = max(due, now + (OWNER_TIMEOUT if owner in living else 0.0))
            elif due <= now:
                self._rooms[room, owner] = now + OWNER_TIMEOUT
                rooms.append(room)
        return rooms
