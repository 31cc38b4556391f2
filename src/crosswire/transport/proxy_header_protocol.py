"""Begins connections that have a header of the PROXY protocol, TLS, or both in front of their request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from crosswire.core.proxies import TrustedProxies
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings
from crosswire.transport.buffered_protocol import feed_buffered_protocol
from crosswire.transport.pending_handshakes import PendingHandshakes
from crosswire.transport.proxy_header import BadProxyHeader, ProxyHeader, parse_proxy_header
from crosswire.transport.unread_bytes import has_unread

logger = get_logger("crosswire.http")

TlsOptions = dict[str, Any]
"""Arguments for the event loop's ``start_tls``; empty where there is no TLS."""


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
    """

    __slots__ = (
        "_data",
        "_handshakes",
        "_header",
        "_make_next",
        "_proxies",
        "_tasks",
        "_tls",
        "_transport",
        "_warnings",
    )

    def __init__(
        self,
        proxies: TrustedProxies | None,
        handshakes: PendingHandshakes,
        warnings: ThrottledWarnings,
        tls: TlsOptions,
        make_next: Callable[[ProxyHeader], asyncio.Protocol],
        tasks: BackgroundTasks,
    ) -> None:
        self._proxies = proxies
        self._handshakes = handshakes
        self._warnings = warnings
        self._tls = tls
        self._make_next = make_next
        self._tasks = tasks
        self._data = b""
        self._header: ProxyHeader | None = None
        self._transport: asyncio.Transport

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the header if the peer may send one, or begin with TLS."""
        self._transport = cast(asyncio.Transport, transport)
        if not self._handshakes.add(self, self._peer if self._handshakes.guards_addresses else ""):
            self._transport.abort()
        elif self._proxies is None:
            asyncio.get_running_loop().call_soon(self._start_without_header)  # reading begins behind this callback
        elif not self._proxies.trusts(self._peer):
            self._refuse("it is none of trusted_proxies")

    def data_received(self, data: bytes) -> None:
        """Parse a part of the header."""
        self._data += data
        if self._header is not None or self._proxies is None or self._transport.is_closing():
            return
        try:
            self._header = parse_proxy_header(self._data)
        except BadProxyHeader as error:
            self._refuse(f"it sent no PROXY protocol: {error}")
            return
        if self._header is not None:
            rest, self._data = self._data[self._header.size :], b""
            if self._tls:
                self._start_tls(rest)
            else:
                self._data = rest
                self._start(self._transport, self._header)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the handshake from the pending ones."""
        self._handshakes.discard(self)

    # PendingHandshake

    def abort(self) -> None:
        self._transport.abort()

    def close(self) -> None:
        self._transport.close()

    def is_unread(self) -> bool:
        return has_unread(self._transport)

    # What follows the header

    @property
    def _peer(self) -> str:
        name = self._transport.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) else ""

    def _refuse(self, reason: str) -> None:
        self._warnings.warn("PROXY", "a connection from %r was dropped: %s", self._peer or "a Unix socket", reason)
        self._transport.close()

    def _start(self, transport: asyncio.Transport, header: ProxyHeader) -> None:
        self._handshakes.discard(self)
        protocol = self._make_next(header)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._data:
            protocol.data_received(self._data)

    def _start_without_header(self) -> None:
        if not self._transport.is_closing():
            self._header = ProxyHeader(0, None)
            rest, self._data = self._data, b""
            self._start_tls(rest)

    def _start_tls(self, rest: bytes) -> None:
        """Start TLS, and feed it the bytes of its handshake that came with the header: they can't be unread.

        ``start_tls`` takes the connection over in its first step, and is ready in the next turn of the loop. The bytes
        follow in that turn, before anything else is read.
        """
        loop = asyncio.get_running_loop()
        self._transport.pause_reading()
        self._tasks.start(self._negotiate_tls(loop), "crosswire TLS handshake")
        if self._transport.get_protocol() is self:  # its first step is still to come
            loop.call_soon(loop.call_soon, self._feed_tls, rest)
        else:
            loop.call_soon(self._feed_tls, rest)

    def _feed_tls(self, rest: bytes) -> None:
        protocol = self._transport.get_protocol()
        if protocol is not self:
            feed_buffered_protocol(self._transport, protocol, rest)

    async def _negotiate_tls(self, loop: asyncio.AbstractEventLoop) -> None:
        header = self._header
        assert header is not None, "TLS begins after the header"
        try:
            transport = await loop.start_tls(self._transport, self, server_side=True, **self._tls)
        except (OSError, TimeoutError) as error:  # of ssl too: the peer's fault, as with any TLS handshake
            logger.debug("a TLS handshake failed: %s", error)
            return
        if transport is not None and not transport.is_closing():
            self._start(transport, header)
