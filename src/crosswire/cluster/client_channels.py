"""The channels of the users and rooms of one server, and its claims to users."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from crosswire.cluster.dialect import Dialect
from crosswire.cluster.history.histories import Histories
from crosswire.cluster.history.open_room import OpenRoom
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.core.clock import HybridClock
from crosswire.core.envelopes import Claim
from crosswire.core.targets import ToRoom
from crosswire.core.timeline import Timeline


class ClientChannels:
    """Subscribes a server to the channels of its clients, during one run of its node.

    Args:
        native: the native dialect, which has the users' channels.
        dialect: the dialect of messages for clients, which has the rooms' channels.
        port: the node's end of the bus.
        clock: makes the stamps.
        incarnation: of the node.
        histories: of the rooms that keep one.
        alone: whether there can be no other nodes.

    Attributes:
        stamp: returns the stamp of a new connection, to compare with the stamps of other servers' connections.
        subscribe_user: subscribes to the channel of a user.
        unsubscribe_user: unsubscribes from it.
        claim: announces to other servers that this one has a connection of a user, with its stamp, and whether its
            peer has just answered.
    """

    __slots__ = (
        "_alone",
        "_dialect",
        "_histories",
        "_incarnation",
        "_port",
        "_user_channel",
        "claim",
        "stamp",
        "subscribe_user",
        "unsubscribe_user",
    )

    def __init__(
        self,
        native: NativeDialect,
        dialect: Dialect,
        port: OrderedPort,
        clock: HybridClock,
        incarnation: str,
        histories: Histories,
        *,
        alone: bool,
    ) -> None:
        self._histories = histories
        self._alone = alone
        self._dialect = dialect
        self._port = port
        self._incarnation = incarnation
        self._user_channel = native.user_channel
        # The methods themselves: a method around each would be another call for every connection.
        self.stamp: Callable[[], int] = clock.stamp
        self.subscribe_user: Callable[[str], None] = _ignore if alone else native.subscribe_user
        self.unsubscribe_user: Callable[[str], None] = _ignore if alone else native.unsubscribe_user
        self.claim = native.claim

    def user_ready(self, user: str) -> Coroutine[Any, Any, None]:
        """Wait until messages to a user, published anywhere, reach this server.

        Raises:
            BusUnavailable: the bus refuses the subscription.
        """
        return self._port.wait_listening(self._user_channel(user))

    # Rooms

    def keeps_history(self, namespace: str) -> bool:
        """Return whether the rooms of a namespace keep history."""
        return namespace in self._histories.kept

    def subscribe_room(self, namespace: str, id: str) -> None:
        """Subscribe to the channel of a room, and begin to read its log if it keeps history.

        Raises:
            UsageError: the room can't be named in this cluster.
        """
        if namespace in self._histories.kept:
            self._histories.open(ToRoom(namespace, id))
        elif not self._alone:
            self._dialect.subscribe_room(namespace, id)

    def unsubscribe_room(self, namespace: str, id: str) -> None:
        """Unsubscribe from the channel of a room, and forget its timeline."""
        self._histories.close(namespace, id)
        self._dialect.unsubscribe_room(namespace, id)

    def timeline(self, namespace: str, id: str) -> Timeline | None:
        """Return the timeline of a room that is subscribed; None if it keeps no history, or is not subscribed."""
        opened = self._histories.get(namespace, id)
        return None if opened is None else opened.timeline

    def room_ready(self, namespace: str, id: str) -> Coroutine[Any, Any, None] | None:
        """Return a coroutine that waits until messages to a room reach this server; None if they do already.

        If the room keeps history, it waits too until the log was read, or is known to be out of reach.

        Raises:
            BusUnavailable: when awaited, if the bus refuses the subscription.
        """
        channel = self._dialect.room_channel(namespace, id)
        opened = self._histories.get(namespace, id)
        if opened is not None and opened.settled is not None:
            return self._history_ready(channel, opened)
        if self._alone or self._port.is_listening(channel):
            return None
        return self._port.wait_listening(channel)

    async def _history_ready(self, channel: bytes, opened: OpenRoom) -> None:
        await self._port.wait_listening(channel)
        await self._histories.of_rooms.rooms.wait_settled(opened)

    async def may_be_elsewhere(self, user: str) -> bool:
        """Return whether another server may have a connection of a user that is connected to this server."""
        listeners = await self._port.count_listeners(self._user_channel(user))
        return listeners is None or listeners > 1

    def is_newer(self, claim: Claim, stamp: int) -> bool:
        """Return whether another server's claim is newer than this server's connection with a stamp."""
        return (claim.stamp, claim.incarnation) > (stamp, self._incarnation)


def _ignore(_user: str) -> None:
    """Ignore users, as there are no other nodes that could send them messages."""
