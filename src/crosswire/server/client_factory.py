"""Makes the client and the socket of each connection."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable

from crosswire.core.formats import Encode, Format
from crosswire.core.messages import KEEPS_POSITIONS
from crosswire.runtime import environment
from crosswire.runtime.loop_thread import get_ident
from crosswire.server.connected_client import ClientParts, ConnectedClient
from crosswire.server.handshake import Handshake
from crosswire.server.offered_positions import OfferedPositions
from crosswire.server.socket import Socket, SocketParts
from crosswire.transport.interface import Connection

ID_BYTES, ID_LETTERS = 12, 16
"""Length of an id before and after it is encoded in base64."""
IDS_AT_ONCE = 64
"""Number of ids that are made with one system call."""


class ClientFactory:
    """Makes the client and the socket of each connection, with the parts of the server that they use.

    Args:
        client_parts: for all clients.
        socket_parts: for all sockets.

    Attributes:
        socket_parts: as given.
        encoder: returns the function that encodes messages to a single connection in a format; replaced by what counts
            them.
    """

    __slots__ = ("_client_parts", "_encoders", "_ids", "encoder", "socket_parts")

    def __init__(self, client_parts: ClientParts[Socket], socket_parts: SocketParts) -> None:
        self._client_parts = client_parts
        self.socket_parts = socket_parts
        self.encoder: Callable[[Format], Encode] = _encoder_of
        self._encoders: dict[Format, Encode] = {}
        self._ids = SocketIds()

    def make(self, connection: Connection, format: Format, handshake: Handshake, level: int) -> ConnectedClient[Socket]:
        """Return the client of a new connection, with its socket; to be called in the event loop's thread.

        Args:
            connection: as it was opened.
            format: of messages to it.
            handshake: the request that it began with.
            level: of the protocol that the client announces there.
        """
        if (encode := self._encoders.get(format)) is None:
            encode = self._encoders[format] = self.encoder(format)
        client: ConnectedClient[Socket] = ConnectedClient(
            self._ids.next(), connection, format, encode, self._client_parts
        )
        positions = handshake.take_positions()
        if level >= KEEPS_POSITIONS:
            client.offered = OfferedPositions(positions)
        sockets = self.socket_parts
        sockets.thread = get_ident()
        client.socket = Socket(client, handshake, sockets)
        return client


def _encoder_of(format: Format) -> Encode:
    return format.encode


class SocketIds:
    """Ids that nobody can guess: 96 bits from the operating system's generator.

    One system call makes many ids, to save time. The first ids are made only when one is needed: processes that are
    forked before they serve must not have the same ids.
    """

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: list[str] = []

    def next(self) -> str:
        """Return an id that was not returned before."""
        if not self._left:
            text = urlsafe_b64encode(environment.urandom(ID_BYTES * IDS_AT_ONCE)).decode("ascii")
            self._left = [text[start : start + ID_LETTERS] for start in range(0, len(text), ID_LETTERS)]
        return self._left.pop()
