"""The interface of a client's connection to a server."""

from __future__ import annotations

from typing import Protocol

from crosswire.types import Close


class OpenConnection(Protocol):
    """Open connection to a server, as a client uses it: a real ``ClientConnection``, or one that a test simulates."""

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server chose, or None."""
        ...

    @property
    def announces(self) -> bool:
        """Whether the server's response says that it will tell when the client is let in."""
        ...

    @property
    def ending(self) -> Close | None:
        """Close code and reason, as far as they are known; None while the connection is open."""
        ...

    def send_text(self, data: bytes) -> bool:
        """Send a text message, given as UTF-8; return whether it was taken."""
        ...

    def send_binary(self, data: bytes) -> bool:
        """Send a binary message; return whether it was taken."""
        ...

    def ask(self, data: bytes) -> None:
        """Send a text message that the server answers. Then :meth:`moved` shows whether the connection still works."""

    def moved(self) -> bool:
        """Return whether bytes moved since the last call of this method or of :meth:`ask`."""
        ...

    def pause(self) -> None:
        """Stop reading; the network then holds the server back."""

    def resume(self) -> None:
        """Read from the server again."""

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake, after the messages that were sent before."""

    def abort(self, close: Close) -> None:
        """Drop the connection without waiting for anything; ``closed`` of the receiver gets ``close``."""
