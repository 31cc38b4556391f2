"""The interface by which rooms know a connection."""

from __future__ import annotations

from typing import Protocol

from crosswire.core.formats import Format, Push


class Recipient(Protocol):
    """A connection that can be in rooms and receive messages.

    Attributes:
        id: id of the connection, unique.
        user: id of its user.
        format: encoding of messages to it.
    """

    id: str
    user: str
    format: Format

    @property
    def push(self) -> Push:
        """Function that queues what ``format`` encoded; an attribute: a fan-out then calls the connection directly."""
        ...
