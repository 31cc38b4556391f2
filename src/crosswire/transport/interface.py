"""The interface of a transport. The contract suite in ``crosswire.testing`` checks it in detail.

A listener hands every HTTP request to an :class:`Acceptor`. A request that is accepted becomes a :class:`Connection`.
The acceptor names the :class:`Receiver` of its messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import msgspec

from crosswire.core.formats import AnyOutbox, Offer
from crosswire.core.headers import Headers
from crosswire.transport.tls_files import Tls
from crosswire.types import Close


class HttpRequest(msgspec.Struct, gc=False, eq=False):
    """An HTTP request, which may become a WebSocket.

    Attributes:
        target: the request target: path and query, in ASCII.
        headers: its header fields.
        remote: the peer's address: an IP address, or an empty string on a Unix socket.
        method: its method.
        upgrade: whether its Connection field asks for another protocol, and the rest of the request allows that.
        secure: whether it came over TLS.
        websocket: whether an ASGI server has found that it asks for a WebSocket. It has checked the fields of the
            opening handshake, and answers them itself.
        body: its content, if the acceptor wants it. Of one larger than ``Limits.max_message``, at least the beginning,
            of one byte more.
        peer_certificate: the client's certificate as ``ssl.SSLSocket.getpeercert`` returns it, if it was verified.
    """

    target: str
    headers: Headers
    remote: str
    method: str = "GET"
    upgrade: bool = False
    secure: bool = False
    websocket: bool = False
    body: bytes = b""
    peer_certificate: Mapping[str, Any] | None = None

    @property
    def wants_websocket(self) -> bool:
        """Whether it asks for the upgrade to a WebSocket (RFC 6455, section 4.2.1)."""
        if self.websocket:
            return True
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


class TrafficSnapshot(NamedTuple):
    """Counters of a connection's bytes, for signs of life that the receiver gets no callback for.

    Bytes have moved since an earlier snapshot if ``arrived`` differs, or if ``unsent`` is smaller. A peer that is held
    back is alive too if it has received all that was sent to it: what it has sent is read later.

    Attributes:
        arrived: a number that changes whenever a part of a message, or a Ping, arrives.
        unsent: bytes that have left the outbox, without those that the peer's system is known to have received.
        is_held_back: whether bytes that have arrived are not read yet, as the connection is over its rate.
    """

    arrived: int
    unsent: int
    is_held_back: bool = False


class Connection(Protocol):
    """Open WebSocket, seen from the server. None of its methods raises for a peer that is gone.

    Over ASGI another program carries it, which decides how the end looks on the network. After an :meth:`abort` it may
    send a Close frame nevertheless (hypercorn sends 1011), and may keep the socket open until the peer has read what
    was sent before. Not every one reports the code of the peer's Close (hypercorn reports 1006).
    """

    @property
    def framed(self) -> bool:
        """Whether ``outbox`` takes WebSocket frames; if not, it takes messages: see ``Encoded`` in core/formats.py."""
        ...

    @property
    def can_ping(self) -> bool:
        """Whether Pings can be sent, and Pongs are received; if not, only messages show that the peer is alive."""
        ...

    @property
    def outbox(self) -> AnyOutbox:
        """Queue of what is sent."""
        ...

    @property
    def offer(self) -> Offer:
        """Function that queues what need not be sent, as its policy says, if the peer is behind."""
        ...

    @property
    def behind(self) -> bool:
        """Whether the peer has not taken what was sent before, so that what is sent now has to wait."""
        ...

    def ping(self, payload: bytes) -> None:
        """Send a Ping, where ``can_ping``; the Pong goes to the receiver."""

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake, after the messages that were pushed before. Later calls do nothing."""

    def abort(self, close: Close) -> None:
        """Drop the connection without a handshake; ``closed`` of the receiver gets ``close``."""

    def pause_reading(self) -> None:
        """Stop reading, so that the peer is held back.

        Bytes that were read already, up to a read buffer, still reach the receiver. While reading is paused, the end of
        the peer may go unnoticed. :meth:`close` resumes reading.
        """

    def resume_reading(self) -> None:
        """Read again. Messages that arrived meanwhile reach the receiver in a later turn of the loop, in order."""

    def peer_has_left(self, *, half: bool) -> bool:
        """Return whether the peer is known to be gone, even while reading is paused; False where that can't be seen.

        Args:
            half: whether a peer that only sends nothing more counts too; what it sent before can still be read.
        """
        ...

    @property
    def buffered(self) -> int:
        """Bytes that wait to be sent, as far as the connection can count them."""
        ...

    async def drained(self, below: int) -> bool:
        """Wait until fewer than ``below`` bytes wait to be sent; return False if the connection is closing or gone."""
        ...

    @property
    def traffic(self) -> TrafficSnapshot:
        """Snapshot of the counters of bytes, where ``can_ping``. It must be cheap: it is read at every Ping."""
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

    def held_back(self, limit: str) -> None:
        """Note that the connection is over a rate, the one of that name in ``Limits``, and is read later."""

    def closed(self, close: Close) -> None:
        """Note that the connection is gone; called once."""


class Accepted(msgspec.Struct, eq=False):
    """An upgrade that is granted.

    Attributes:
        receiver: gets what arrives.
        subprotocol: the one chosen from the client's offer, or None.
        window_bits: of permessage-deflate (RFC 7692; no context is kept in either direction); 0 without.
        headers: fields of the answer besides the fields of the protocol.
    """

    receiver: Receiver
    subprotocol: str | None = None
    window_bits: int = 0
    headers: Mapping[str, str] = {}


class Acceptor(Protocol):
    """Decision about every HTTP request."""

    def accept(self, request: HttpRequest) -> Accepted | Response:
        """Grant the upgrade, or answer with plain HTTP. Must not raise."""
        ...

    def wants_body(self, request: HttpRequest) -> bool:
        """Return whether to read the body of a request that has one, and is no upgrade, before :meth:`accept`.

        If not, the response leaves at once, and the body is discarded. Must not raise.
        """
        ...


class AsyncAcceptor(Protocol):
    """Decision about every request for a WebSocket, where it may be awaited before the upgrade."""

    async def decide(
        self, request: HttpRequest, user: str | None = None, *, routed: bool = False, upgraded: bool = False
    ) -> Accepted | Response:
        """Grant the upgrade, or answer with plain HTTP.

        Args:
            request: for a WebSocket.
            user: if it is known; then nothing is asked to find it out.
            routed: whether a route of an application has handed it over, whatever its path.
            upgraded: whether it was accepted already, so that no subprotocol can be chosen any more.
        """
        ...

    def refuse_late(self) -> Response | None:
        """Return a refusal if a WebSocket can't be opened any more, as its acceptance took a while; else None."""
        ...


AsgiApplication = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI 3 application: called with a scope, ``receive`` and ``send``."""


@dataclass(slots=True)
class HandedOver:
    """A connection that a listener hands over, as its first request is an application's.

    Attributes:
        transport: the event loop's.
        received: bytes of the request so far, and those behind it.
        remote: the client's address if a proxy has named it in front of the request, else None.
        secure: whether the client uses TLS.
        resume: makes the protocol for a later request for a WebSocket; it is then fed that request.
    """

    transport: asyncio.Transport
    received: bytes
    remote: str | None
    secure: bool
    resume: Callable[[], asyncio.Protocol]


class HttpApplication(Protocol):
    """Application that answers the requests on a port that are not for the server's WebSockets."""

    def answers(self, request: HttpRequest) -> bool:
        """Return whether a request is the application's; only its head has come."""
        ...

    def take_over(self, connection: HandedOver) -> None:
        """Serve a connection from now on."""

    def start(self, state: dict[str, Any], *, access_log: bool) -> None:
        """Begin to take connections.

        Args:
            state: of the application's lifespan; each request gets a copy.
            access_log: whether each request is logged.
        """

    def close_idle(self) -> None:
        """Close connections without a request, and each of the others after its current one."""

    async def finish(self, deadline: float, caller: asyncio.Task[Any] | None) -> None:
        """Wait for requests until ``deadline``, in loop time, and cut those that are left.

        Args:
            deadline: in loop time.
            caller: a task that waits for the stop, which may be that of a request: it is not awaited.
        """

    def end(self) -> None:
        """Take no more connections, and stop all timers."""


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

    def share_with(self, application: HttpApplication) -> None:
        """Hand the requests over that are the application's, from :meth:`serve` on."""

    def configure(self, *, host: str | None, port: int | None, reuse_port: bool | None, tls: Tls | None = None) -> None:
        """Change the address, and the certificate, before it is bound; None leaves a part as it is.

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
        """Accept no more connections. Connections stay open, and their requests are still handed to the acceptor."""

    @property
    def reload(self) -> Callable[[], None] | None:
        """Function that loads the certificate from its files again; None if it comes from no files."""
        ...

    async def end(self) -> None:
        """Close the connections that have not become WebSockets."""
