"""A connection as the registry and the duplicate policy see it."""

from __future__ import annotations

from typing import Protocol

from crosswire.rooms.recipient import Recipient


class UserConnection(Recipient, Protocol):
    """A connection that belongs to a user.

    Attributes:
        stamp: time of its user's claim, to compare with connections to other servers.
    """

    stamp: int

    @property
    def is_open(self) -> bool:
        """Whether it can still be sent to."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake, and leave user and rooms at once."""

    async def drop_if_dead(self) -> bool:
        """Ping the peer, and drop the connection if it shows no sign of life; tell whether it is still there."""
        ...
