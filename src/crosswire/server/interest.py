"""What a server must hear from the others: of which users and rooms, and whether a user is elsewhere too."""

from __future__ import annotations

from collections.abc import Collection, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from crosswire.core.envelopes import Claim
from crosswire.errors import BusUnavailable
from crosswire.types import CloseCode

if TYPE_CHECKING:
    from crosswire.cluster.node import Node
    from crosswire.cluster.participant import Participant
    from crosswire.server.socket import Socket

Duplicates = Literal["replace", "refuse", "allow"]


class Interest:
    """Keeps the subscriptions of a server to those who are connected to it. Without a cluster it does nothing.

    Args:
        duplicates: what a second connection of the same user does, here or elsewhere.
    """

    __slots__ = ("_duplicates", "_node")

    def __init__(self, duplicates: Duplicates) -> None:
        self._duplicates = duplicates
        self._node: Node | None = None

    def attach(self, node: Node) -> None:
        """Speak through this node from now on."""
        self._node = node

    def stamp(self) -> int:
        """When a connection came, to compare with those of other servers."""
        cluster = self._cluster()
        return 0 if cluster is None else cluster.clock.stamp()

    def open_user(self, user: str) -> None:
        """Somebody of this user is here."""
        if (cluster := self._cluster()) is not None:
            cluster.native.open_user(user)

    def close_user(self, user: str) -> None:
        """Nobody of this user is here any more."""
        if (cluster := self._cluster()) is not None:
            cluster.native.close_user(user)

    def open_room(self, namespace: str, id: str) -> None:
        """Somebody is in this room.

        Raises:
            UsageError: the room can't be named in this cluster.
        """
        if (cluster := self._cluster()) is not None:
            cluster.dialect.open_room(namespace, id)

    def close_room(self, namespace: str, id: str) -> None:
        """Nobody is in this room any more."""
        if (cluster := self._cluster()) is not None:
            cluster.dialect.close_room(namespace, id)

    async def room_ready(self, namespace: str, id: str) -> None:
        """Wait until messages to a room, published anywhere, come here.

        Raises:
            BusUnavailable: no Redis lets this server listen.
        """
        if (cluster := self._cluster()) is not None:
            channel = cluster.dialect.room_channel(namespace, id)
            if not cluster.port.is_listening(channel):
                await cluster.port.listening(channel)

    def arrival(self, socket: Socket) -> Coroutine[Any, Any, None] | None:
        """What is to be awaited before a connection's user is reachable from everywhere; None if nothing is."""
        return None if self._cluster() is None else self._arrive_anyway(socket)

    async def _arrive_anyway(self, socket: Socket) -> None:
        with suppress(BusUnavailable):  # it was logged; who comes is served all the same, as while there is no Redis
            await self.arrive(socket)

    async def arrive(self, socket: Socket) -> None:
        """Make a connection's user reachable from everywhere.

        Raises:
            BusUnavailable: no Redis lets this server listen for the user.
        """
        cluster = self._cluster()
        if cluster is None:
            return
        await cluster.port.listening(cluster.native.user_channel(socket.user))
        # Others are told only now, so that of two who come at once one at least hears of the other.
        if socket.is_open and self._duplicates != "allow":
            cluster.native.claim(socket.user, socket.stamp)

    def claimed(self, sockets: Collection[Socket], claim: Claim) -> None:
        """Another server has a connection of the user of these sockets: the one or the other is closed."""
        cluster = self._cluster()
        if cluster is None or self._duplicates == "allow" or not sockets:
            return
        for socket in tuple(sockets):
            newer = (claim.stamp, claim.incarnation) > (socket.stamp, cluster.incarnation)
            if newer == (self._duplicates == "replace"):
                socket.close(CloseCode.REPLACED, "replaced by another connection of the same user")
        for socket in sockets:
            if socket.is_open:
                cluster.native.claim(socket.user, socket.stamp)

    def claim_again(self, sockets: Collection[Socket]) -> None:
        """Tell of all connections: meanwhile their users may have come to servers that could not be told."""
        cluster = self._cluster()
        if cluster is not None and self._duplicates != "allow":
            for socket in sockets:
                cluster.native.claim(socket.user, socket.stamp)

    def _cluster(self) -> Participant | None:
        return None if self._node is None else self._node.connected()
