"""What a server must hear from the others: of which users and rooms, and whether a user is elsewhere too."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from crosswire.core.envelopes import Claim
from crosswire.errors import BusUnavailable
from crosswire.runtime.tasks import Tasks
from crosswire.server.user_connection import UserConnection
from crosswire.types import CloseCode

if TYPE_CHECKING:
    from crosswire.cluster.client_channels import ClientChannels
    from crosswire.cluster.node import Node

_ON_THE_WAY = 0.5
"""Seconds that a claim and the answer to it take between two servers, and a little more."""

Duplicates = Literal["replace", "refuse", "allow"]


class Interest:
    """Keeps the subscriptions of a server to those who are connected to it. Without a cluster it does nothing.

    Args:
        duplicates: what a second connection of the same user does, here or elsewhere.
        probe: seconds that an older connection has to answer a ping before it keeps a newer one out.
    """

    __slots__ = ("_contested", "_duplicates", "_node", "_probe", "_probed", "_tasks")

    def __init__(self, duplicates: Duplicates, probe: float) -> None:
        self._duplicates = duplicates
        self._probe = probe
        self._node: Node | None = None
        self._tasks: Tasks
        self._contested: dict[UserConnection, asyncio.Future[None]] = {}  # an older one may keep these out
        self._probed: set[UserConnection] = set()  # connections that are to show life

    def attach(self, node: Node, tasks: Tasks) -> None:
        """Speak through this node from now on, and run in these tasks what takes time."""
        self._node = node
        self._tasks = tasks

    def stamp(self) -> int:
        """When a connection came, to compare with those of other servers."""
        channels = self._channels()
        return 0 if channels is None else channels.stamp()

    def open_user(self, user: str) -> None:
        """Somebody of this user is here."""
        if (channels := self._channels()) is not None:
            channels.subscribe_user(user)

    def close_user(self, user: str) -> None:
        """Nobody of this user is here any more."""
        if (channels := self._channels()) is not None:
            channels.unsubscribe_user(user)

    def open_room(self, namespace: str, id: str) -> None:
        """Somebody is in this room.

        Raises:
            UsageError: the room can't be named in this cluster.
        """
        if (channels := self._channels()) is not None:
            channels.subscribe_room(namespace, id)

    def close_room(self, namespace: str, id: str) -> None:
        """Nobody is in this room any more."""
        if (channels := self._channels()) is not None:
            channels.unsubscribe_room(namespace, id)

    async def room_ready(self, namespace: str, id: str) -> None:
        """Wait until messages to a room, published anywhere, come here.

        Raises:
            BusUnavailable: no Redis lets this server listen.
        """
        if (channels := self._channels()) is not None:
            waiting = channels.room_ready(namespace, id)
            if waiting is not None:
                await waiting

    def arrival(self, socket: UserConnection) -> Coroutine[Any, Any, None] | None:
        """What is to be awaited before a connection's user is reachable from everywhere; None if nothing is."""
        return None if self._channels() is None else self._arrive_anyway(socket)

    async def _arrive_anyway(self, socket: UserConnection) -> None:
        with suppress(BusUnavailable):  # it was logged; who comes is served all the same, as while there is no Redis
            await self.arrive(socket)

    async def arrive(self, socket: UserConnection) -> None:
        """Make a connection's user reachable from everywhere.

        Raises:
            BusUnavailable: no Redis lets this server listen for the user.
        """
        channels = self._channels()
        if channels is None:
            return
        await channels.user_ready(socket.user)
        if not socket.is_open or self._duplicates == "allow":
            return
        # Others are told only now, so that of two who come at once one at least hears of the other. Until they hear it
        # the peer may be dead: whoever is newer has it asked.
        channels.claim(socket.user, socket.stamp, alive=False)
        if self._duplicates == "refuse" and await channels.may_be_elsewhere(socket.user):
            await self._wait_for_objection(socket)

    async def _wait_for_objection(self, socket: UserConnection) -> None:
        """Give whoever has an older connection of the user the time to see whether its peer still answers."""
        if not socket.is_open:
            return
        gone = self._contested[socket] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._probe + _ON_THE_WAY):
                await gone
        except TimeoutError:
            pass  # nobody objected
        finally:
            del self._contested[socket]

    def gone(self, socket: UserConnection) -> None:
        """Wait for nothing more that concerns a connection: it has left its user."""
        if (waiting := self._contested.get(socket)) is not None and not waiting.done():
            waiting.set_result(None)

    def claimed(self, sockets: Collection[UserConnection], claim: Claim) -> None:
        """Another server has a connection of the user of these sockets: the one or the other is closed."""
        channels = self._channels()
        if channels is None or self._duplicates == "allow":
            return
        for socket in tuple(sockets):
            newer = channels.is_newer(claim, socket.stamp)
            if self._duplicates == "replace":
                self._replace(channels, socket, newer=newer)
            elif newer:
                self._look_after(channels, socket)
            elif claim.alive:
                socket.close(CloseCode.REPLACED, "the user is connected already")
            else:
                channels.claim(socket.user, socket.stamp, alive=True)  # let the other see whether its peer answers

    def _replace(self, channels: ClientChannels, socket: UserConnection, *, newer: bool) -> None:
        if newer:
            socket.close(CloseCode.REPLACED, "replaced by another connection of the same user")
        else:
            channels.claim(socket.user, socket.stamp, alive=True)

    def _look_after(self, channels: ClientChannels, socket: UserConnection) -> None:
        """Keep a newer connection out only if the peer of this one answers; else drop this one."""
        if socket not in self._probed:
            self._probed.add(socket)
            self._tasks.start(self._probe_for(channels, socket), "crosswire probe")

    async def _probe_for(self, channels: ClientChannels, socket: UserConnection) -> None:
        try:
            alive = await socket.drop_if_dead()
        finally:
            self._probed.discard(socket)
        if alive:
            channels.claim(socket.user, socket.stamp, alive=True)

    def claim_again(self, sockets: Collection[UserConnection]) -> None:
        """Tell of all connections: meanwhile their users may have come to servers that could not be told."""
        channels = self._channels()
        if channels is not None and self._duplicates != "allow":
            for socket in sockets:
                channels.claim(socket.user, socket.stamp, alive=False)

    def _channels(self) -> ClientChannels | None:
        return None if self._node is None else self._node.client_channels()
