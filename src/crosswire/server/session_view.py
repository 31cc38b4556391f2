"""A session, as the parts of the server see it that the session itself uses."""

from __future__ import annotations

from typing import Protocol

from crosswire.server.peer import Peer
from crosswire.server.running_handlers import RunningHandlers
from crosswire.server.socket import Socket


class SessionView(Protocol):
    """Attributes of a session that the router, the failure reporter, the setup and the drain use.

    Attributes:
        peer: the client.
        socket: its connection, as the application sees it.
        work: handlers and hooks at work for it.
    """

    peer: Peer[Socket]
    socket: Socket
    work: RunningHandlers

    def hold_if_full(self) -> None:
        """Let messages wait while as many handlers are at work for the client as may be."""
