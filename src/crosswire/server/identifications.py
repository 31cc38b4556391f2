"""Gives connections other users, also while earlier calls for the same connection still wait for other servers."""

from __future__ import annotations

from contextlib import suppress
from typing import Generic

from crosswire.errors import Reject
from crosswire.server.duplicates import DuplicatePolicy
from crosswire.server.registry import ConnectionT, Registry
from crosswire.types import CloseCode


class _GivenUser:
    """A user that one call gives a connection. Each call has its own object, as several may give the same user."""

    __slots__ = ("id",)

    def __init__(self, id: str) -> None:
        self.id = id


class Identifications(Generic[ConnectionT]):
    """Gives connections other users.

    Args:
        registry: the connections by user.
        duplicates: announces the new user of a connection, and decides which connection of a user stays.
    """

    __slots__ = ("_duplicates", "_given", "_registry")

    def __init__(self, registry: Registry[ConnectionT], duplicates: DuplicatePolicy) -> None:
        self._registry = registry
        self._duplicates = duplicates
        # Of connections for which calls wait: the user to go back to if all of them fail, and those that they give.
        self._given: dict[ConnectionT, list[_GivenUser]] = {}

    async def identify(self, connection: ConnectionT, user: str) -> None:
        """Give an open connection another user, and wait until all servers know it.

        If that fails, the connection gets back the user that the last of the other calls has given it, or the one from
        before them.

        Raises:
            Reject: another connection of the user keeps this one out; it is closed with 4012.
            EventError: ``NAME_TOO_LONG``: the user's id is longer than the limit.
            BusUnavailable: the bus refuses the subscription.
        """
        former, own = connection.user, _GivenUser(user)
        self._rename(connection, user)
        given = self._given.setdefault(connection, [_GivenUser(former)])
        given.append(own)
        try:
            await self._duplicates.announce(connection)
        except BaseException:
            if own in given:  # if not, a later call has succeeded
                given.remove(own)
                self._forget_settled(connection, given)
                self._go_back(connection, given[-1].id)
            raise
        if own in given:
            del given[: given.index(own)]
            self._forget_settled(connection, given)

    def _forget_settled(self, connection: ConnectionT, given: list[_GivenUser]) -> None:
        if len(given) == 1:  # no call waits any more that could change it
            del self._given[connection]

    def _go_back(self, connection: ConnectionT, user: str) -> None:
        if connection.is_open:
            with suppress(Reject):  # another connection has that user by now, so that this one is closed
                self._rename(connection, user)

    def _rename(self, connection: ConnectionT, user: str) -> None:
        if not self._registry.rename(connection, user):
            refused = Reject(CloseCode.REPLACED, "the user is connected already")
            connection.close(refused.close_code, refused.reason)
            raise refused
