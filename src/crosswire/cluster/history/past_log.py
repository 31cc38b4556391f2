"""Delivery past the logs of rooms, and to whom that is told."""

from __future__ import annotations

from collections.abc import Callable, Collection
from math import inf

from crosswire.cluster.clients import Clients
from crosswire.cluster.history.bodies import Bodies
from crosswire.cluster.history.room_queue import Outgoing
from crosswire.cluster.history.rooms import OpenRooms
from crosswire.cluster.history.void_notices import VoidNotices
from crosswire.cluster.history.voids import VoidRooms
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.core.targets import ToRoom
from crosswire.errors import BusUnavailable
from crosswire.runtime import environment

RETURN_TIME = 3.0
"""Seconds after an outage of the bus in which messages still wait for the log: other nodes may not listen again yet,
but they read what the log has."""


class PastLog:
    """The :class:`~crosswire.cluster.history.appends.Fallback` of a node.

    Args:
        origin: of the node, 8 bytes.
        port: the node's end of the bus.
        native: has the rooms' channels.
        clients: of the node.
        rooms: that are open here.
        bodies: encodes copies of messages.
        voids: the rooms that are void.
        notices: tells other nodes of them.
        living: returns the names of the other nodes.
        ask_for_epoch: finds out whether another node has just begun a new epoch.
    """

    __slots__ = (
        "_ask_for_epoch",
        "_bodies",
        "_bus_back",
        "_clients",
        "_living",
        "_native",
        "_notices",
        "_origin",
        "_port",
        "_rooms",
        "_voids",
    )

    def __init__(
        self,
        origin: bytes,
        port: OrderedPort,
        native: NativeDialect,
        clients: Clients,
        rooms: OpenRooms,
        bodies: Bodies,
        voids: VoidRooms,
        notices: VoidNotices,
        living: Callable[[], Collection[str]],
        ask_for_epoch: Callable[[ToRoom, Callable[[bool], None]], None],
    ) -> None:
        self._ask_for_epoch = ask_for_epoch
        self._origin = origin
        self._port = port
        self._native = native
        self._clients = clients
        self._rooms = rooms
        self._bodies = bodies
        self._voids = voids
        self._notices = notices
        self._living = living
        self._bus_back = -inf  # time from which messages are sent over the bus

    def deliver(self, room: ToRoom, message: Outgoing) -> None:
        """Deliver a message to the clients of this node that have not got it yet, without a position."""
        opened = self._rooms.get(room.namespace, room.id)
        if opened is None or opened.timeline.take_unplaced(self._origin, message.number):
            self._clients.deliver(room, message.message, message.excluded)

    def publish(self, room: ToRoom, message: Outgoing) -> bool:
        """Send a message to the other nodes past the log; return False if none can be reached."""
        if not self._is_bus_back():
            return False
        copy = self._bodies.copy(message.number, message.message, message.excluded, waits=False)
        try:
            self._port.publish(self._native.room_channel(room.namespace, room.id), copy)
        except BusUnavailable:
            return False  # it is kept, and counts as one that waits
        return True

    def _is_bus_back(self) -> bool:
        """Return whether other nodes can be reached, and have had time to listen again if they could not be."""
        if not self._port.available:
            self._bus_back = inf
            return False
        now = environment.monotonic()
        if self._bus_back == inf:
            self._bus_back = now + RETURN_TIME
        return now >= self._bus_back

    def ask_for_epoch(self, room: ToRoom, answer: Callable[[bool], None], /) -> None:
        """Find out whether another node has just begun a new epoch, none of whose positions is good yet."""
        self._ask_for_epoch(room, answer)

    def void(self, room: ToRoom) -> None:
        """Take note, and tell all nodes, that messages of a room were delivered that its log does not have."""
        if (opened := self._rooms.get(room.namespace, room.id)) is not None:
            opened.timeline.void()
        self._notices.void(room)

    def began(self, room: ToRoom) -> None:
        """Take note, and tell all nodes, that a room's log has a new epoch, for which it was void."""
        living = self._living()
        self._notices.began(room, [owner for owner in self._voids.owners(room) if owner not in living])
        self._rooms.renewed(room)
