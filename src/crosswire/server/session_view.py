"""A session, as the parts of the server see it that the session itself uses."""

from __future__ import annotations

from typing import Protocol

from crosswire.core.codecs import Codec
from crosswire.server.connected_client import ConnectedClient
from crosswire.server.running_handlers import RunningHandlers
from crosswire.server.socket import Socket


class SessionView(Protocol):
    """Attributes of a session that the router, the failure reporter, the setup and the drain use.

    Attributes:
        client: the connected client.
        socket: its connection, as the application sees it.
        handlers: handlers and hooks at work for it.
    """

    client: ConnectedClient[Socket]
    socket: Socket
    handlers: RunningHandlers

    def hold_messages_if_busy(self) -> None:
        """Let messages wait while the limits on running handlers and on their memory are reached."""

    def postpone(self, codec: Codec, data: str | bytes, needs: int) -> None:
        """Let a message and all behind it wait until there are ``needs`` bytes for it, or no handler is at work."""
