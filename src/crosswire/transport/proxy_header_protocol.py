"""Begins connections that have a header of the PROXY protocol, TLS, or both in front of their request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from crosswire.core.proxies import TrustedProxies
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings
from crosswire.transport.pending_handshakes import PendingHandshakes
from crosswire.transport.picows_handshake import HandshakeProtocol
from crosswire.transport.proxy_header import BadProxyHeader, ProxyHeader, parse_proxy_header
from crosswire.transport.read_turns import ReadTurns
from crosswire.transport.tls_start import TlsOptions, TlsStart
from crosswire.transport.unread_bytes import has_unread

logger = get_logger("crosswire.http")

_NO_HEADER = ProxyHeader(0, None)


class ProxyHeaderProtocol(asyncio.Protocol):
    """Protocol of a new connection until its header has been read and TLS has begun; a ``PendingHandshake``.

    A server of the event loop with TLS hides a connection until that has begun, and nobody could count or drop it.

    Args:
        proxies: peers that may send the header, and have to; a connection of another peer is closed. None if there is
            no header.
        handshakes: the pending handshakes of the listener, with this one.
        warnings: of connections that are closed.
        tls: options for TLS, which begins after the header.
        make_next: makes the protocol that reads the request.
        tasks: run the TLS handshake.
        turns: of all connections of the listener.
    """

    __slots__ = (
        "_data",
        "_handshakes",
        "_header",
        "_make_next",
        "_proxies",
        "_tasks",
        "_tls",
        "_tls_start",
        "_transport",
        "_turns",
        "_warnings",
    )

    def __init__(
        self,
        proxies: TrustedProxies | None,
        handshakes: PendingHandshakes,
        warnings: ThrottledWarnings,
        tls: TlsOptions,
        make_next: Callable[[ProxyHeader], HandshakeProtocol],
        tasks: BackgroundTasks,
        turns: ReadTurns,
    ) -> None:
        self._proxies = proxies
        self._handshakes = handshakes
        self._warnings = warnings
        self._tls = tls
        self._make_next = make_next
        self._tasks = tasks
        self._turns = turns
        self._tls_start: TlsStart | None = None
        self._data = b""
        self._header: ProxyHeader | None = None
        self._transport: asyncio.Transport

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the header, or for the first bytes of TLS."""
        self._transport = cast(asyncio.Transport, transport)
        if not self._handshakes.add(self, self._peer if self._handshakes.guards_addresses else ""):
            self._transport.abort()
        elif self._proxies is not None and not self._proxies.trusts(self._peer):
            self._refuse("it is none of trusted_proxies")

    def data_received(self, data: bytes) -> None:
        """Parse a part of the header, and begin with TLS behind it; keep what comes behind that, as it is a request."""
        self._data += data
        if self._header is not None or self._transport.is_closing():
            return
        try:
            header = _NO_HEADER if self._proxies is None else parse_proxy_header(self._data)
        except BadProxyHeader as error:
            self._refuse(f"it sent no PROXY protocol: {error}")
            return
        if header is not None:
            self._header = header
            rest, self._data = self._data[header.size :], b""
            if self._tls:
                self._start_tls(header, rest)
            else:
                self._data = rest
                self._start(self._transport, header)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the handshake from the pending ones."""
        self._handshakes.discard(self)

    # PendingHandshake

    def abort(self) -> None:
        self._transport.abort()

    def close(self) -> None:
        self._transport.close()

    def is_unread(self) -> bool:
        is_held = self._tls_start is not None and self._tls_start.is_waiting
        return is_held or has_unread(self._transport)

    # What follows the header

    @property
    def _peer(self) -> str:
        name = self._transport.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) else ""

    def _refuse(self, reason: str) -> None:
        self._warnings.warn("PROXY", "a connection from %r was dropped: %s", self._peer or "a Unix socket", reason)
        self._transport.close()

    def _start(self, transport: asyncio.Transport, header: ProxyHeader) -> None:
        if self not in self._handshakes:  # the connection has ended meanwhile
            return
        protocol = self._make_next(header)
        self._handshakes.pass_on(self, protocol)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._data:
            protocol.data_received(self._data)

    def _start_tls(self, header: ProxyHeader, first: bytes) -> None:
        self._transport.pause_reading()
        self._tls_start = TlsStart(self._transport, self, self._tls, self._turns, first)
        self._tasks.start(self._negotiate_tls(self._tls_start, header), "crosswire TLS handshake")
        self._tls_start.feed_soon()

    async def _negotiate_tls(self, start: TlsStart, header: ProxyHeader) -> None:
        try:
            transport = await start.negotiate()
        except (OSError, TimeoutError) as error:  # of ssl too: the peer's fault, as with any TLS handshake
            logger.debug("a TLS handshake failed: %s", error)
            self._handshakes.discard(self)
            return
        finally:
            self._tls_start = None  # it refers to us: without the cycle both are freed with the connection
        if transport is not None and not transport.is_closing():
            self._start(transport, header)
