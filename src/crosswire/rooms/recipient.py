"""What the rooms know of a connection."""

from __future__ import annotations

from typing import Protocol

from crosswire.core.formats import Format
from crosswire.core.frames import Push


class Recipient(Protocol):
    """A connection that can be in rooms and be sent to.

    Attributes:
        id: unique to the connection.
        user: whose it is.
        format: how messages to it are encoded.
    """

    id: str
    user: str
    format: Format

    @property
    def push(self) -> Push:
        """Queues one encoded frame. An attribute and no method, so that a fan-out calls the connection directly."""
        ...
