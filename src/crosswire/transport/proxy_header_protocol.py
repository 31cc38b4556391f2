"""Connections that a proxy announces with the PROXY protocol, before TLS and before the request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from crosswire.core.proxies import TrustedProxies
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.throttled_warnings import ThrottledWarnings
from crosswire.transport.buffered_protocol import feed_buffered_protocol
from crosswire.transport.pending_handshakes import PendingHandshakes
from crosswire.transport.proxy_header import BadProxyHeader, ProxyHeader, parse_proxy_header

logger = logging.getLogger("crosswire.http")

TlsOptions = dict[str, Any]
"""Arguments for the event loop's ``start_tls``; empty where there is no TLS."""


class ProxyHeaderProtocol(asyncio.Protocol):
    """Waits for the announcement of one connection, then lets it begin as any other.

    Args:
        proxies: whose announcements are believed; another peer's connection is dropped.
        handshakes: counts it among them while it is one.
        warnings: of connections that are dropped.
        tls: options for TLS, which begins after the announcement.
        begin: makes the protocol that reads the request.
        tasks: holds the TLS handshake.
    """

    __slots__ = ("_begin", "_data", "_handshakes", "_proxies", "_said", "_tasks", "_tls", "_transport", "_warnings")

    def __init__(
        self,
        proxies: TrustedProxies,
        handshakes: PendingHandshakes,
        warnings: ThrottledWarnings,
        tls: TlsOptions,
        begin: Callable[[ProxyHeader], asyncio.Protocol],
        tasks: BackgroundTasks,
    ) -> None:
        self._proxies = proxies
        self._handshakes = handshakes
        self._warnings = warnings
        self._tls = tls
        self._begin = begin
        self._tasks = tasks
        self._data = b""
        self._said: ProxyHeader | None = None
        self._transport: asyncio.Transport

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the announcement, if this peer may make one."""
        self._transport = cast(asyncio.Transport, transport)
        self._handshakes.add(self)
        if not self._proxies.trusts(self._peer):
            self._refuse("it is none of trusted_proxies")

    def data_received(self, data: bytes) -> None:
        """Take a part of the announcement; once TLS is on, what came before it was all there."""
        self._data += data
        if self._said is not None or self._transport.is_closing():
            return
        try:
            self._said = parse_proxy_header(self._data)
        except BadProxyHeader as error:
            self._refuse(f"it sent no PROXY protocol: {error}")
            return
        if self._said is not None:
            rest, self._data = self._data[self._said.size :], b""
            if self._tls:
                self._start_tls(rest)
            else:
                self._data = rest
                self._start(self._transport, self._said)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone before it began."""
        self._handshakes.discard(self)

    # What the handshakes tell.

    def abort(self) -> None:
        """It took too long."""
        self._transport.abort()

    def close(self) -> None:
        """Nobody listens any more."""
        self._transport.close()

    # What becomes of it.

    @property
    def _peer(self) -> str:
        name = self._transport.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) else ""

    def _refuse(self, why: str) -> None:
        self._warnings.warn("PROXY", "a connection from %r was dropped: %s", self._peer or "a Unix socket", why)
        self._transport.close()

    def _start(self, transport: asyncio.Transport, said: ProxyHeader) -> None:
        self._handshakes.discard(self)
        protocol = self._begin(said)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._data:
            protocol.data_received(self._data)

    def _start_tls(self, rest: bytes) -> None:
        """Put TLS between; what has come of its handshake is handed to it, as the event loop can't unread it.

        ``start_tls`` takes the connection over in its first step, and gets ready in the turn of the loop after it: the
        bytes follow right behind that, before anything else is read.
        """
        loop = asyncio.get_running_loop()
        self._transport.pause_reading()
        self._tasks.start(self._secured(loop), "crosswire TLS handshake")
        if self._transport.get_protocol() is self:  # its first step is still to come
            loop.call_soon(loop.call_soon, self._hand_over, rest)
        else:
            loop.call_soon(self._hand_over, rest)

    def _hand_over(self, rest: bytes) -> None:
        protocol = self._transport.get_protocol()
        if protocol is not self:
            feed_buffered_protocol(self._transport, protocol, rest)

    async def _secured(self, loop: asyncio.AbstractEventLoop) -> None:
        said = self._said
        assert said is not None, "TLS begins after the announcement"
        try:
            transport = await loop.start_tls(self._transport, self, server_side=True, **self._tls)
        except (OSError, TimeoutError) as error:  # of ssl too: the peer's doing, as with any TLS handshake
            logger.debug("a TLS handshake failed: %s", error)
            return
        if transport is not None and not transport.is_closing():
            self._start(transport, said)
