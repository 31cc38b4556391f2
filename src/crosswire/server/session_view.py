"""A session, as those parts of the server know it that it uses itself."""

from __future__ import annotations

from typing import Protocol

from crosswire.server.peer import Peer
from crosswire.server.socket import Socket
from crosswire.server.work import Work


class SessionView(Protocol):
    """What the router, the failure reporter, the admission and the drain use of a session.

    Attributes:
        peer: the client.
        socket: its connection, as the application sees it.
        work: handlers and hooks at work for it.
    """

    peer: Peer[Socket]
    socket: Socket
    work: Work

    def hold_if_full(self) -> None:
        """Let messages wait while as many handlers are at work for the client as may be."""
