"""Messages of logs that come to a node which does not know yet that their rooms keep history."""

from __future__ import annotations

from collections import deque

from crosswire.cluster.clients import Clients
from crosswire.cluster.history.bodies import Bodies
from crosswire.cluster.native import NativeDialect
from crosswire.core.log_records import unpack_record
from crosswire.core.targets import ToRoom
from crosswire.errors import InvalidMessage, InvalidPayload

MAX_REMEMBERED = 1_000
"""Such messages of which it is remembered that they were delivered, until their rooms are known to keep history."""


class StrayRecords:
    """Delivers such messages, without a position: the beat that says more is on its way.

    Args:
        native: knows the rooms' channels.
        bodies: reads messages of logs.
        clients: of the node.
    """

    __slots__ = ("_bodies", "_clients", "_delivered", "_native")

    def __init__(self, native: NativeDialect, bodies: Bodies, clients: Clients) -> None:
        self._native = native
        self._bodies = bodies
        self._clients = clients
        self._delivered: deque[tuple[ToRoom, bytes, int]] = deque(maxlen=MAX_REMEMBERED)

    def delivered(self, room: ToRoom) -> list[tuple[bytes, int]]:
        """Return origin and number of each message that was delivered in a room."""
        return [(origin, number) for each, origin, number in self._delivered if each == room]

    def take(self, channel: bytes, message: bytes) -> bool:
        """Deliver a message of a log; return False if it is none, or does not belong on its channel."""
        names = self._native.room_of(channel)
        if names is None:
            return False
        room = ToRoom(*names)
        try:
            record = unpack_record(message)
            if record.offset:
                kept, excluded = self._bodies.read_unplaced(channel, record)
                self._clients.deliver(room, kept, excluded)
                self._delivered.append((room, record.origin, record.number))
        except (InvalidMessage, InvalidPayload):
            return False
        return True
