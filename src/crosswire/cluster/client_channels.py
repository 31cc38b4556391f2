"""The channels of the users and rooms of one server, and its claims to users."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from crosswire.cluster.dialect import Dialect
from crosswire.cluster.history.declarations import KeptNamespaces
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.core.clock import HybridClock
from crosswire.core.envelopes import Claim
from crosswire.core.timeline import Timeline


class ClientChannels:
    """Subscribes a server to the channels of its clients, during one run of its node.

    Args:
        native: the native dialect, which has the users' channels.
        dialect: the dialect of messages for clients, which has the rooms' channels.
        port: the node's end of the bus.
        clock: makes the stamps.
        incarnation: of the node.
        kept: the namespaces whose rooms keep history.

    Attributes:
        stamp: returns the stamp of a new connection, to compare with the stamps of other servers' connections.
        subscribe_user: subscribes to the channel of a user.
        unsubscribe_user: unsubscribes from it.
        subscribe_room: subscribes to the channel of a room; raises UsageError if the room can't be named in this
            cluster.
        unsubscribe_room: unsubscribes from it.
        claim: announces to other servers that this one has a connection of a user, with its stamp, and whether its
            peer has just answered.
    """

    __slots__ = (
        "_dialect",
        "_incarnation",
        "_kept",
        "_port",
        "_user_channel",
        "claim",
        "stamp",
        "subscribe_room",
        "subscribe_user",
        "unsubscribe_room",
        "unsubscribe_user",
    )

    def __init__(
        self,
        native: NativeDialect,
        dialect: Dialect,
        port: OrderedPort,
        clock: HybridClock,
        incarnation: str,
        kept: KeptNamespaces,
    ) -> None:
        self._kept = kept
        self._dialect = dialect
        self._port = port
        self._incarnation = incarnation
        self._user_channel = native.user_channel
        # The methods themselves: a method around each would be another call for every connection.
        self.stamp: Callable[[], int] = clock.stamp
        self.subscribe_user: Callable[[str], None] = native.subscribe_user
        self.unsubscribe_user: Callable[[str], None] = native.unsubscribe_user
        self.subscribe_room: Callable[[str, str], None] = dialect.subscribe_room
        self.unsubscribe_room: Callable[[str, str], None] = dialect.unsubscribe_room
        self.claim = native.claim

    def user_ready(self, user: str) -> Coroutine[Any, Any, None]:
        """Wait until messages to a user, published anywhere, reach this server.

        Raises:
            BusUnavailable: the bus refuses the subscription.
        """
        return self._port.wait_listening(self._user_channel(user))

    def keeps_history(self, namespace: str) -> bool:
        """Return whether the rooms of a namespace keep history."""
        return namespace in self._kept

    def timeline(self, namespace: str, id: str) -> Timeline | None:
        """Return the timeline of a room that is subscribed to; None while there is none."""
        return None

    def room_ready(self, namespace: str, id: str) -> Coroutine[Any, Any, None] | None:
        """Return a coroutine that waits until messages to a room reach this server; None if they do already.

        Raises:
            BusUnavailable: when awaited, if the bus refuses the subscription.
        """
        channel = self._dialect.room_channel(namespace, id)
        return None if self._port.is_listening(channel) else self._port.wait_listening(channel)

    async def may_be_elsewhere(self, user: str) -> bool:
        """Return whether another server may have a connection of a user that is connected to this server."""
        listeners = await self._port.count_listeners(self._user_channel(user))
        return listeners is None or listeners > 1

    def is_newer(self, claim: Claim, stamp: int) -> bool:
        """Return whether another server's claim is newer than this server's connection with a stamp."""
        return (claim.stamp, claim.incarnation) > (stamp, self._incarnation)
