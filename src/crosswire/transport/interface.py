"""What a transport offers and what it expects; the contract suite in ``crosswire.testing`` says the rest.

A listener hands every HTTP request to an :class:`Acceptor`. One that is accepted becomes a :class:`Connection`, and
everything that arrives on it goes to the :class:`Receiver` that the acceptor named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from crosswire.core.formats import Push
from crosswire.core.headers import Headers
from crosswire.types import Close


@dataclass(slots=True)
class HttpRequest:
    """An HTTP request, which may become a WebSocket.

    Attributes:
        target: the request target: path and query, in ASCII.
        headers: its header fields.
        remote: the peer's address: an IP address, or an empty string on a Unix socket.
        method: its method.
        upgrade: whether its Connection field asks for another protocol, and nothing else of it forbids one.
        secure: whether it came over TLS.
    """

    target: str
    headers: Headers
    remote: str
    method: str = "GET"
    upgrade: bool = False
    secure: bool = False

    @property
    def wants_websocket(self) -> bool:
        """Whether it asks for the upgrade to a WebSocket (RFC 6455, section 4.2.1)."""
        return self.upgrade and self.method == "GET" and self.headers.has_token("upgrade", "websocket")


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer instead of a WebSocket.

    Args:
        status: HTTP status, 200-599.
        body: sent as it is.
        headers: fields besides Content-Length and Connection.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Traffic(NamedTuple):
    """How far bytes have come that the receiver is not told of; looked at twice, it shows whether any moved between.

    Attributes:
        arrived: another number whenever a part of a message came, or a Ping.
        unsent: bytes that have left the outbox and that the peer's system has not taken yet, as far as that is known.
    """

    arrived: int
    unsent: int


class Connection(Protocol):
    """One open WebSocket, seen from the server. None of its methods raises for a peer that is gone."""

    @property
    def push(self) -> Push:
        """Queues one encoded frame; frames of one loop turn leave together.

        A connection whose peer does not read is dropped once more than its limit waits.
        """
        ...

    def ping(self, payload: bytes) -> None:
        """Send a Ping; the Pong goes to the receiver."""

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake; what was pushed before still leaves first. The first close counts."""

    def abort(self, close: Close) -> None:
        """Drop the connection without a handshake; ``close`` is what the receiver will be told."""

    def pause_reading(self) -> None:
        """Read no more, so that the peer is held back; what has been read already still reaches the receiver.

        That is not more than a read buffer holds. The end of a peer may be noticed only when reading goes on, which
        it does of itself when the connection is closed from here.
        """

    def resume_reading(self) -> None:
        """Read again; what arrived meanwhile reaches the receiver in a later turn, in order."""

    @property
    def buffered(self) -> int:
        """Bytes that wait to be sent."""
        ...

    async def drained(self, below: int) -> bool:
        """Wait until fewer than ``below`` bytes wait to be sent; False if the connection is closing or gone."""
        ...

    @property
    def traffic(self) -> Traffic:
        """How far bytes have come of which nobody is told; as cheap as to be asked for at every Ping."""
        ...


class Receiver(Protocol):
    """Where a connection's arrivals go. Nothing is called before ``opened`` or after ``closed``.

    A method that raises ends its connection with 1011.
    """

    def opened(self, connection: Connection) -> None:
        """The upgrade is done."""

    def text(self, text: str) -> None:
        """A whole text message."""

    def binary(self, data: bytes) -> None:
        """A whole binary message."""

    def pong(self, payload: bytes) -> None:
        """A Pong, asked for or not."""

    def closed(self, close: Close) -> None:
        """The connection is gone; called once."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """An upgrade that is granted.

    Attributes:
        receiver: gets what arrives.
        subprotocol: the one chosen from the client's offer, or None.
        deflate: whether permessage-deflate is used (RFC 7692, no context is kept in either direction).
        headers: fields of the answer besides those of the protocol.
    """

    receiver: Receiver
    subprotocol: str | None = None
    deflate: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


class Acceptor(Protocol):
    """Decides about requests."""

    def accept(self, request: HttpRequest) -> Accepted | Response:
        """Grant the upgrade, or answer with plain HTTP. Must not raise."""
        ...
