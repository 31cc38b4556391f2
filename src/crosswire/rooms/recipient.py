"""The interface by which rooms know a connection."""

from __future__ import annotations

from typing import Protocol

from crosswire.core.formats import AnyOutbox, Format, Offer


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
    def outbox(self) -> AnyOutbox:
        """Queue of what ``format`` has encoded."""
        ...

    @property
    def offer(self) -> Offer:
        """Function that queues what need not be sent, as its policy says, if the peer is behind."""
        ...

    @property
    def behind(self) -> bool:
        """Whether the peer has not taken what was sent before."""
        ...
