"""The interface by which rooms know a connection."""

from __future__ import annotations

from typing import Protocol

from crosswire.core.formats import Format
from crosswire.core.frames import Push


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
        """Function that queues an encoded frame; an attribute, so that a fan-out calls the connection directly."""
        ...
