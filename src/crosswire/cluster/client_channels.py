"""The channels of a server's own clients: which users and rooms it listens for, and who claims a user."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from crosswire.cluster.dialect import Dialect
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.core.clock import HybridClock
from crosswire.core.envelopes import Claim


class ClientChannels:
    """Subscribes a server to the channels of its clients, during one run of its node.

    Args:
        native: the native dialect, which has the users' channels.
        dialect: the dialect that messages for clients are carried in; it has the rooms' channels.
        port: the node's end of the bus.
        clock: of the stamps.
        incarnation: of the node.

    Attributes:
        stamp: returns a stamp for a connection that has just come, to compare with those of other servers.
        subscribe_user: listens on a user's channel.
        unsubscribe_user: leaves it.
        subscribe_room: listens on a room's channel; raises UsageError for a room that has no name in this cluster.
        unsubscribe_room: leaves it.
        claim: tells the other servers that this one has a connection of a user, with that connection's stamp, and
            whether its peer has just been heard.
    """

    __slots__ = (
        "_dialect",
        "_incarnation",
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
        self, native: NativeDialect, dialect: Dialect, port: OrderedPort, clock: HybridClock, incarnation: str
    ) -> None:
        self._dialect = dialect
        self._port = port
        self._incarnation = incarnation
        self._user_channel = native.user_channel
        # Methods of these as they are: each connection needs them, and another call for each is saved.
        self.stamp: Callable[[], int] = clock.stamp
        self.subscribe_user: Callable[[str], None] = native.subscribe_user
        self.unsubscribe_user: Callable[[str], None] = native.unsubscribe_user
        self.subscribe_room: Callable[[str, str], None] = dialect.subscribe_room
        self.unsubscribe_room: Callable[[str, str], None] = dialect.unsubscribe_room
        self.claim = native.claim

    def user_ready(self, user: str) -> Coroutine[Any, Any, None]:
        """Wait until messages to a user, published anywhere, come here.

        Raises:
            BusUnavailable: the bus refuses the subscription.
        """
        return self._port.listening(self._user_channel(user))

    def room_ready(self, namespace: str, id: str) -> Coroutine[Any, Any, None] | None:
        """Return what waits until messages to a room, published anywhere, come here; None if they do already.

        Raises:
            BusUnavailable: when awaited, if the bus refuses the subscription.
        """
        channel = self._dialect.room_channel(namespace, id)
        return None if self._port.is_listening(channel) else self._port.listening(channel)

    async def may_be_elsewhere(self, user: str) -> bool:
        """Return whether another server may listen for a user, for whom this server listens."""
        listeners = await self._port.listeners(self._user_channel(user))
        return listeners is None or listeners > 1

    def is_newer(self, claim: Claim, stamp: int) -> bool:
        """Return whether another server's claim is newer than this server's connection with a stamp."""
        return (claim.stamp, claim.incarnation) > (stamp, self._incarnation)
