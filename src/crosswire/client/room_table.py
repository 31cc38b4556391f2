"""The rooms with a history that a client is or was in, and its position in each."""

from __future__ import annotations

from crosswire.core.messages import MAX_OFFERED, RoomPosition
from crosswire.core.positions import LogPosition, parse_position
from crosswire.types import RoomState

MAX_ROOMS = 1024
"""Rooms in the table; over it, the one that the server told of first is forgotten."""

_RoomName = tuple[str, str]


class _Known:
    """A room in the table; without an epoch, the client has no position in it."""

    __slots__ = ("epoch", "offset", "room")

    def __init__(self, room: _RoomName, epoch: str | None, offset: int) -> None:
        self.room = room
        self.epoch = epoch
        self.offset = offset


class RoomTable:
    """Table of rooms, which lasts as long as its client: over losses, and over ``close`` and ``connect``."""

    __slots__ = ("_by_epoch", "_by_room", "_has_evicted", "_offered")

    def __init__(self) -> None:
        self._by_room: dict[_RoomName, _Known] = {}  # the one that the server told of last is the last
        self._by_epoch: dict[str, _Known] = {}
        self._offered: frozenset[str] = frozenset()
        self._has_evicted = False

    def offer(self) -> str:
        """Return the positions to tell the server at the next attempt, as many of the latest as fit; "" for none."""
        positions = [f"{each.epoch}.{each.offset}" for each in reversed(self._by_room.values()) if each.epoch]
        text = ",".join(positions)
        if len(text) > MAX_OFFERED:
            text = text[: MAX_OFFERED + 1].rpartition(",")[0]
        self._offered = frozenset(position.partition(".")[0] for position in text.split(","))
        return text

    def move(self, at: object) -> bool:
        """Move behind the message at this position; return False if the client has had the message already."""
        position = parse_position(at) if isinstance(at, str) else None
        known = None if position is None else self._by_epoch.get(position.epoch)
        if position is None or known is None:
            return True
        if position.offset <= known.offset:
            return False
        known.offset = position.offset
        return True

    def change(self, told: RoomPosition) -> RoomState:
        """Take the position that the server tells; return what the application is to know.

        The server can't know which room the positions of another epoch were in. So it may know of no former position
        where the client had one: then messages may be missing.
        """
        known = self._by_room.get(told.room)
        position = None if told.at is None else parse_position(told.at)
        recovered, reason = told.recovered, told.reason
        if recovered is None and (known is not None or self._has_evicted):
            recovered, reason = False, self._why_not(known)
        if recovered and known is not None and position is not None and known.epoch == position.epoch:
            # Messages of the last connection may have been handled after their positions were offered.
            position = LogPosition(position.epoch, max(position.offset, known.offset))
        self._put(told.room, position)
        return RoomState(*told.room, recovered, reason)

    def forget(self, room: _RoomName) -> None:
        """Forget a room that the client has left."""
        known = self._by_room.pop(room, None)
        if known is not None and known.epoch is not None:
            del self._by_epoch[known.epoch]

    def _why_not(self, known: _Known | None) -> str:
        if known is None:
            return "too-much"  # it may be the room that had no place in the table any more
        if known.epoch is None:
            return "unavailable"
        return "epoch" if known.epoch in self._offered else "too-much"

    def _put(self, room: _RoomName, position: LogPosition | None) -> None:
        self.forget(room)
        if position is None:
            self._by_room[room] = _Known(room, None, 0)
        else:
            if (other := self._by_epoch.get(position.epoch)) is not None:
                self.forget(other.room)  # an epoch belongs to one room
            self._by_room[room] = self._by_epoch[position.epoch] = _Known(room, *position)
        if len(self._by_room) > MAX_ROOMS:
            self._has_evicted = True
            self.forget(next(iter(self._by_room)))
