"""Decides which connection of a user stays if there are several, on this server or on others."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Literal, Protocol

from crosswire.cluster.client_channels import ClientChannels
from crosswire.core.envelopes import Claim
from crosswire.errors import BusUnavailable
from crosswire.rooms.recipient import Recipient
from crosswire.rooms.users import UserIndex
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.server.subscriptions import GetChannels, no_channels
from crosswire.types import CloseCode

CLAIM_ROUND_TRIP = 0.5
"""Seconds that a claim and its answer take to another server and back, at most."""

ALONE = 0
"""Stamp of a connection that came while there could be no other servers."""

Duplicates = Literal["replace", "refuse", "allow"]
"""Name of a policy: close the older connection of a user, refuse the newer one, or allow both."""


class UserConnection(Recipient, Protocol):
    """A connection that belongs to a user, as the registry and the duplicate policy see it.

    Attributes:
        stamp: time of its user's claim, to compare with connections to other servers.
        joins_until: time at which all its joins so far would have come at the rate that the limit allows.
    """

    stamp: int
    joins_until: float

    @property
    def is_open(self) -> bool:
        """Whether it can still be sent to."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake, and leave user and rooms at once."""

    async def drop_if_dead(self) -> bool:
        """Ping the peer, and drop the connection if it shows no sign of life; return whether it is still there."""
        ...


class DuplicatePolicy:
    """Closes or refuses connections of a user who has another connection, to this server or to another.

    Args:
        mode: which connection stays.
        users: connections of this server by user.
        probe_timeout: seconds that an older connection has to answer a ping before it keeps a newer one out.

    Attributes:
        mode: as given.
    """

    __slots__ = ("_channels", "_contested", "_probe_timeout", "_probed", "_tasks", "_users", "mode")

    def __init__(self, mode: Duplicates, users: UserIndex[Any], probe_timeout: float) -> None:
        self.mode = mode
        self._users: UserIndex[UserConnection] = users
        self._probe_timeout = probe_timeout
        self._channels: GetChannels = no_channels
        self._tasks: BackgroundTasks
        # What ends the waits for objections to a connection; until it does not belong to its user any more.
        self._contested: dict[UserConnection, asyncio.Future[None]] = {}
        self._probed: set[UserConnection] = set()  # connections whose peers were pinged and have not answered yet

    def attach(self, channels: GetChannels, tasks: BackgroundTasks) -> None:
        """Use these channels of the cluster from now on, and ping older connections in these tasks."""
        self._channels = channels
        self._tasks = tasks

    # On this server

    def keeps_out(self, connection: UserConnection, user: str) -> bool:
        """Return whether ``connection`` is refused because the user has another connection."""
        return self.mode == "refuse" and any(other is not connection for other in self._users.of(user))

    async def drop_dead(self, user: str) -> None:
        """Drop a user's connections whose peers do not answer a ping, so that they keep no new connection out."""
        await asyncio.gather(*[connection.drop_if_dead() for connection in self._users.of(user)])

    def close_older(self, user: str) -> None:
        """Close the connections of a user that a newer one replaces."""
        if self.mode == "replace":
            for connection in self._users.of(user):
                connection.close(CloseCode.REPLACED, "replaced by a newer connection of the same user")

    # On other servers

    def stamp(self) -> int:
        """Return a stamp for a new connection, to find out which of a user's connections is newer."""
        channels = self._channels()
        return ALONE if channels is None else channels.stamp()

    def announcement(self, connection: UserConnection) -> Coroutine[Any, Any, None] | None:
        """Return a coroutine that runs :meth:`announce` and ignores ``BusUnavailable``; None without other servers."""
        return None if self._channels() is None else self._announce_if_possible(connection)

    async def _announce_if_possible(self, connection: UserConnection) -> None:
        with suppress(BusUnavailable):  # it was logged; without a Redis, clients are served all the same
            await self.announce(connection)

    async def announce(self, connection: UserConnection) -> None:
        """Make the user of a connection reachable from all servers, and let them close the user's other connections.

        Raises:
            BusUnavailable: the bus refuses the subscription.
        """
        channels = self._channels()
        if channels is None:
            return
        await channels.user_ready(connection.user)
        if not connection.is_open or self.mode == "allow":
            return
        # The claim is sent after the subscription: of two servers that claim a user at the same time, at least one
        # hears the other. It does not say that the peer is alive: a server with a newer connection makes us ping first.
        channels.claim(connection.user, connection.stamp, alive=False)
        if self.mode == "refuse" and await channels.may_be_elsewhere(connection.user):
            await self._wait_for_objection(connection)

    async def _wait_for_objection(self, connection: UserConnection) -> None:
        """Wait until a server with an older connection of the user has had time to ping it and to object."""
        if not connection.is_open:
            return
        withdrawn = self._contested.setdefault(connection, asyncio.get_running_loop().create_future())
        with suppress(TimeoutError):  # no server objected
            async with asyncio.timeout(self._probe_timeout + CLAIM_ROUND_TRIP):
                await asyncio.shield(withdrawn)  # another announcement may wait for it too

    def withdraw(self, connection: UserConnection) -> None:
        """Stop waiting for objections to a connection, as it does not belong to its user any more."""
        if (withdrawn := self._contested.pop(connection, None)) is not None:
            withdrawn.set_result(None)

    def claimed(self, user: str, claim: Claim) -> None:
        """Compare the connections of a user with one that another server claims, and close those that must go."""
        channels = self._channels()
        if channels is None or self.mode == "allow":
            return
        for connection in tuple(self._users.of(user)):
            newer = channels.is_newer(claim, connection.stamp)
            if self.mode == "replace":
                self._replace(channels, connection, newer=newer)
            elif newer:
                self._start_probe(channels, connection)
            elif claim.alive:
                connection.close(CloseCode.REPLACED, "the user is connected already")
            else:
                channels.claim(connection.user, connection.stamp, alive=True)  # makes the other server ping its own

    def _replace(self, channels: ClientChannels, connection: UserConnection, *, newer: bool) -> None:
        if newer:
            connection.close(CloseCode.REPLACED, "replaced by another connection of the same user")
        else:
            channels.claim(connection.user, connection.stamp, alive=True)

    def _start_probe(self, channels: ClientChannels, connection: UserConnection) -> None:
        if connection not in self._probed:
            self._probed.add(connection)
            self._tasks.start(self._probe(channels, connection), "crosswire probe")

    async def _probe(self, channels: ClientChannels, connection: UserConnection) -> None:
        """Ping the peer of ``connection``. Keep the newer connection out if it answers; else drop ``connection``."""
        try:
            alive = await connection.drop_if_dead()
        finally:
            self._probed.discard(connection)
        if alive:
            channels.claim(connection.user, connection.stamp, alive=True)

    def claim_again(self) -> None:
        """Claim the users of all connections again, after other servers could not be reached for a while."""
        channels = self._channels()
        if channels is not None and self.mode != "allow":
            for connection in tuple(self._users.members):
                channels.claim(connection.user, connection.stamp, alive=False)
