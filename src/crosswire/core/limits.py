"""Options of a server: what its clients may use, and how it finds dead peers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crosswire.core.options import require_count, require_rate, require_seconds
from crosswire.core.utf8 import has_utf8
from crosswire.errors import ConfigError

_MIN_HEADERS = 5
"""Header fields that the request for a WebSocket has at least."""
_MIN_HEADER_SIZE = 256
"""Bytes that the request for a WebSocket has at least, with a host's name and a short path."""
_NONE_ALLOWED = ("connections", "held", "address_connections", "address_rate", "message_rate", "byte_rate", "burst")

_HELD_BESIDES = 128 * 1024
"""Bytes of small messages that may be held besides two of the largest."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on what clients of one server may use, and the consequences for clients that exceed them.

    Attributes:
        max_message: bytes of one message, its fragments joined and decompressed; over it, closed with 1009. A
            connection has a read buffer of up to twice its largest message, which is given back when it is idle. As
            many bytes of messages wait for a connection until it is let in, or for its handlers; beyond, reading
            pauses, and the client is held back. Also bytes of the body of an HTTP request; over it, answered with
            HTTP 413.
        fragments: fragments of one message; over it, closed with 1009.
        headers: header fields of one HTTP request; over it, answered with HTTP 431.
        header_size: bytes of one HTTP request without its body, the request line and all header fields together; over
            it, answered with HTTP 431, or 414 if the line alone is longer.
        handshake_timeout: seconds for the HTTP upgrade, or for another HTTP request with its body; over it the TCP
            connection is dropped.
        auth_timeout: seconds for an asynchronous ``authenticate``, and again for an asynchronous ``on_connect``; over
            it, cancelled, and closed with 1013.
        held: bytes of memory that one client's messages may take, decoded, while handlers are at work on them or they
            wait, with what a handler takes itself; None for twice ``max_message`` and 128 KiB. Over 3/8 of it, reading
            pauses; a message that would take more alone is refused with ``TOO_LARGE``.
        linger: seconds that handlers of a connection that is gone have to end, before ``on_disconnect``; over it, they
            are cancelled.
        outbox: bytes waiting for one connection that does not read fast enough, 64 more counted for each message; over
            it the connection is dropped (a single message larger than this is still sent to a connection that has
            nothing waiting). The event loop holds 128 KiB more.
        outbox_time: seconds; a connection with bytes waiting that has taken fewer than 1 KiB for each of these seconds
            is dropped, even if few bytes wait.
        name: characters of an event, a user, and of a room's namespace and id each; a longer one is refused with
            ``NAME_TOO_LONG``, a connection with such a user closed with 1013.
        rooms: rooms of one connection; one more is refused with ``ROOM_LIMIT``.
        joins: rooms that one connection joins a second, as the average of ten seconds; one more is refused with
            ``JOIN_RATE``.
        calls: calls of the server to one connection that are not answered yet; one more is refused with ``CALL_LIMIT``.
        connections: open connections, or None for no limit; one more is answered with HTTP 503.
        unauthenticated: connections that have not sent their request, and as many whose ``authenticate`` is at work.
            Over it, the oldest one that has not sent its request in a second is dropped for a new one; if none is that
            old, new ones wait to be accepted. One more for ``authenticate`` is answered with HTTP 503.
        address_connections: open connections of one address, an IPv6 network of 64 bits being one; None for no limit.
            One more is answered with HTTP 429. Behind ``trusted_proxies``, the address is the client's.
        address_rate: new connections a second of one address, on average, and ten seconds' worth at once; None for no
            limit. One more is answered with HTTP 429.
        handlers: asynchronous handlers running at once for one connection, unanswered calls among them. Further
            messages wait until a handler ends, and are not read once ``max_message`` bytes wait. If none ends for 2
            seconds, the calls that wait are refused with ``BUSY``.
        total_handlers: asynchronous handlers that wait for something, of all connections together, those that are gone
            too. Over it each connection may have one, and those of connections that are gone are cancelled at once.
        message_rate: messages a second that are read of one connection, on average; a control frame or a fragment is
            one too. None for no limit. What comes beyond is read later: nothing is lost, and the client is held back.
        byte_rate: the same in bytes; a second's worth may come at once.
        burst: messages that may come at once, with ``message_rate``; None for a second's worth.
        close_timeout: seconds to wait for the peer's Close frame; over it the connection is dropped.
    """

    max_message: int = 1024 * 1024
    fragments: int = 1024
    headers: int = 100
    header_size: int = 16 * 1024
    handshake_timeout: float = 10
    auth_timeout: float = 10
    held: int | None = None
    linger: float = 5
    outbox: int = 1024 * 1024
    outbox_time: float = 30
    name: int = 256
    rooms: int = 100
    joins: int = 100
    calls: int = 1000
    connections: int | None = None
    unauthenticated: int = 2000
    address_connections: int | None = None
    address_rate: float | None = None
    handlers: int = 1000
    total_handlers: int = 20_000
    message_rate: float | None = None
    byte_rate: float | None = None
    burst: int | None = None
    close_timeout: float = 5

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is None and name in _NONE_ALLOWED:
                continue
            require: Callable[[str, object], object] = require_count
            if name.endswith(("_timeout", "_time")) or name == "linger":
                require = require_seconds
            elif name.endswith("_rate"):
                require = require_rate
            require(f"Limits({name})", value)
        for name, least in (("headers", _MIN_HEADERS), ("header_size", _MIN_HEADER_SIZE)):
            if getattr(self, name) < least:
                raise ConfigError(f"Limits({name}={getattr(self, name)}): give {least} or more; a WebSocket needs them")

    @property
    def held_bytes(self) -> int:
        """Bytes that ``held`` stands for."""
        return self.held if self.held is not None else 2 * self.max_message + _HELD_BESIDES


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Times by which a server finds out that a peer is gone.

    Attributes:
        interval: seconds between the pings (RFC 6455, section 5.5.2) to a connection.
        timeout: seconds to wait for any sign of life after a ping; then the connection is dropped.
        text: the client's own heartbeat message, which is echoed and is no event.
        background: seconds a client may stay away after ``enter_background``; then it is closed with 4013.
        probe: seconds that a user's older connection has to answer a ping, with ``Server(duplicates="refuse")``. If it
            does, it keeps a newer connection out; if not, it is dropped.
    """

    interval: float = 20
    timeout: float = 20
    text: str = ""
    background: float = 10
    probe: float = 1

    def __post_init__(self) -> None:
        for name in ("interval", "timeout", "background", "probe"):
            require_seconds(f"Heartbeat({name})", getattr(self, name))
        if not isinstance(self.text, str):
            raise ConfigError(f"Heartbeat(text={self.text!r}): give a string")
        if not has_utf8(self.text):
            raise ConfigError(f"Heartbeat(text={self.text!r}): half of a surrogate pair can't be sent")
