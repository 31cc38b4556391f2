"""Rooms in which messages were delivered that their logs do not have, until a new epoch begins there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from crosswire.core.targets import ToRoom
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

    __slots__ = ("_count", "_due", "_own", "_warnings")

    def __init__(self, own: str) -> None:
        self._own = own
        self._due: dict[ToRoom, dict[str, float]] = {}  # when this node begins the epoch, by the name of the other
        self._count = 0
        self._warnings = ThrottledWarnings(logger)

    def __contains__(self, room: ToRoom) -> bool:
        return room in self._due

    def __len__(self) -> int:
        return self._count

    def note(self, room: ToRoom, owner: str) -> None:
        """Take note that a node has delivered messages which the log of a room does not have."""
        owners = self._due.setdefault(room, {})
        if owner in owners:
            return
        delay = environment.random() * TAKE_OVER_WITHIN if owner == NOBODY else OWNER_TIMEOUT
        owners[owner] = environment.monotonic() + delay
        self._count += 1
        if self._count > MAX_VOID:
            oldest, owners = next(iter(self._due.items()))
            self.began(oldest, [next(iter(owners))])
            self._warnings.warn("void", "more than %d rooms are void: the oldest are forgotten", MAX_VOID)

    def began(self, room: ToRoom, owners: Iterable[str]) -> None:
        """Forget that a room is void for the messages of some nodes, as a new epoch has begun since then."""
        noted = self._due.get(room)
        if noted is None:
            return
        for owner in owners:
            if noted.pop(owner, None) is not None:
                self._count -= 1
        if not noted:
            del self._due[room]

    def resolved(self, room: ToRoom, living: Collection[str]) -> None:
        """Forget that a room is void for nodes that are gone, as a new epoch was heard to begin since then."""
        if room in self._due:
            self.began(room, [owner for owner in self.owners(room) if owner != self._own and owner not in living])

    def owners(self, room: ToRoom) -> list[str]:
        """Return the names of the nodes for which a room is void."""
        return list(self._due.get(room, ()))

    def for_newcomer(self, living: Collection[str]) -> list[ToRoom]:
        """Return the rooms of which this node tells one that has joined: its own, and those of nodes that are gone."""
        return [
            room
            for room, owners in self._due.items()
            if any(owner == self._own or owner not in living for owner in owners)
        ]

    def node_left(self, name: str) -> None:
        """Take over from a node that is gone, a little later."""
        now = environment.monotonic()
        for owners in self._due.values():
            if name in owners:
                owners[name] = min(owners[name], now + environment.random() * TAKE_OVER_WITHIN)

    def due(self, living: Collection[str], is_available: Callable[[ToRoom], bool]) -> list[ToRoom]:
        """Return the rooms in which this node is to begin a new epoch now; each is due again later.

        Args:
            living: names of the other nodes.
            is_available: whether the log of a room can be reached.
        """
        now = environment.monotonic()
        rooms: list[ToRoom] = []
        for room, owners in self._due.items():
            for owner, due in owners.items():
                if owner == self._own:  # its queue begins it
                    continue
                if not is_available(room):
                    owners[owner] = max(due, now + (OWNER_TIMEOUT if owner in living else 0.0))
                elif due <= now:
                    owners[owner] = now + OWNER_TIMEOUT
                    rooms.append(room)
        return rooms
