"""The interface of a transport; the contract suite in ``crosswire.testing`` says the rest.

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
    """Movement of bytes that the receiver is not told of; two values, compared, show whether any moved in between.

    Attributes:
        arrived: a number that changes whenever a part of a message arrives, or a Ping.
        unsent: bytes that have left the outbox and that the peer's system has not taken yet, as far as that is known.
    """

    arrived: int
    unsent: int


class Connection(Protocol):
    """Open WebSocket, seen from the server. None of its methods raises for a peer that is gone."""

    @property
    def framed(self) -> bool:
        """Whether ``push`` takes WebSocket frames; if not, it takes messages: see ``Encoded`` in core/formats.py."""
        ...

    @property
    def can_ping(self) -> bool:
        """Whether Pings can be sent, and Pongs are received; if not, only messages show that the peer is alive."""
        ...

    @property
    def push(self) -> Push:
        """Function that queues what a format has encoded; what one loop turn queues leaves together.

        A connection whose peer does not read is dropped once more than its limit waits.
        """
        ...

    def ping(self, payload: bytes) -> None:
        """Send a Ping, where ``can_ping``; the Pong goes to the receiver."""

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake; what was pushed before still leaves first. The first close counts."""

    def abort(self, close: Close) -> None:
        """Drop the connection without a handshake; ``close`` is what the receiver will be told."""

    def pause_reading(self) -> None:
        """Stop reading, so that the peer is held back; what has been read already still reaches the receiver.

        That is not more than a read buffer holds. The end of a peer may be noticed only when reading goes on, which
        it does of itself when the connection is closed from here.
        """

    def resume_reading(self) -> None:
        """Read again; what arrived meanwhile reaches the receiver in a later turn, in order."""

    @property
    def buffered(self) -> int:
        """Bytes that wait to be sent, as far as the connection can count them."""
        ...

    async def drained(self, below: int) -> bool:
        """Wait until fewer than ``below`` bytes wait to be sent; return False if the connection is closing or gone."""
        ...

    @property
    def traffic(self) -> Traffic:
        """Movement of bytes, where ``can_ping``; cheap enough to be asked for at every Ping."""
        ...


class Receiver(Protocol):
    """Callbacks for what arrives on a connection. None is called before ``opened`` or after ``closed``.

    A callback that raises ends its connection with 1011.
    """

    def opened(self, connection: Connection) -> None:
        """Begin to use a connection; the upgrade is done."""

    def text(self, text: str) -> None:
        """Receive a whole text message."""

    def binary(self, data: bytes) -> None:
        """Receive a whole binary message."""

    def pong(self, payload: bytes) -> None:
        """Receive a Pong, asked for or not."""

    def closed(self, close: Close) -> None:
        """Note that the connection is gone; called once."""


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
    """Decision about every HTTP request."""

    def accept(self, request: HttpRequest) -> Accepted | Response:
        """Grant the upgrade, or answer with plain HTTP. Must not raise."""
        ...


class NetworkListener(Protocol):
    """Source of connections on one address of the network; hands their requests to an :class:`Acceptor`."""

    @property
    def port(self) -> int:
        """The port it listens on; 0 on a Unix socket, and before :meth:`bind` if a free one was asked for."""
        ...

    @property
    def address(self) -> str:
        """The URL that clients connect to."""
        ...

    def configure(self, *, host: str | None, port: int | None, reuse_port: bool | None) -> None:
        """Change the address before it is bound; None leaves a part of it as it is.

        Raises:
            ConfigError: it can't be used.
        """

    async def bind(self) -> None:
        """Take the address, so that the port is known; nothing is accepted yet.

        Raises:
            ConfigError: the address can't be used.
        """

    async def serve(self) -> None:
        """Accept connections from now on."""

    async def stop(self) -> None:
        """Accept no more connections; open ones stay, and requests on them are still decided."""

    async def end(self) -> None:
        """Close the connections that have not become WebSockets."""
