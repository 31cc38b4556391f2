"""The identity of one connection."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Protocol

from crosswire.server.client_calls import CallableClient
from crosswire.server.handshake import Handshake
from crosswire.types import Identity


class IdentifiedClient(CallableClient, Protocol):
    """The methods of a connection that has an identity."""

    @property
    def is_open(self) -> bool:
        """Whether messages can still be sent to it."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake of the connection."""


class Authority:
    """The identity of one connection, while it is open.

    Args:
        discard: called at its end.
        client: the connection.
        handshake: the request that it began with.
        context: returns the context variables in which the hook is called again.

    Attributes:
        identity: as ``authenticate`` returned it last.
    """

    __slots__ = ("_discard", "client", "context", "handshake", "identity")

    def __init__(
        self,
        discard: Callable[[Authority], None],
        client: IdentifiedClient,
        handshake: Handshake,
        context: Callable[[], Context],
        identity: Identity,
    ) -> None:
        self._discard = discard
        self.client = client
        self.handshake = handshake
        self.context = context
        self.identity = identity

    def end(self) -> None:
        """Forget the identity, as the connection is closing or gone."""
        self._discard(self)
