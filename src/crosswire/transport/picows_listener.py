"""Listens on one address, and lets every connection begin with an HTTP request."""

from __future__ import annotations

import asyncio
import errno
import ssl
from typing import Any

from crosswire.core.limits import Limits
from crosswire.core.options import require_bool, require_host
from crosswire.core.proxies import TrustedProxies
from crosswire.errors import ConfigError
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.flusher import Flusher
from crosswire.transport.interface import Acceptor
from crosswire.transport.listener_context import ListenerContext
from crosswire.transport.pending_handshakes import PendingHandshakes
from crosswire.transport.picows_handshake import HandshakeProtocol
from crosswire.transport.proxy_header import ProxyHeader
from crosswire.transport.proxy_header_protocol import ProxyHeaderProtocol
from crosswire.transport.tls import has_certificate
from crosswire.transport.unix_socket import UNIX_PREFIX, UnixSocket

_BACKLOG = 4096
_TRIES = 20


class PicowsListener:
    """Accepts connections on one address.

    Args:
        acceptor: decides about every request.
        limits: of every connection.
        flusher: of the connections' outboxes.
        host: an IPv4 or IPv6 address or name, or ``unix:/path`` for a Unix socket, ``?mode=660`` for its mode.
        port: 0 for a free one, the same on all addresses of the host.
        tls: context for ``wss``.
        reuse_port: let several processes listen on the port (``SO_REUSEPORT``).
        header_senders: proxies that begin every connection with a header of the PROXY protocol; None for none.

    Raises:
        ConfigError: an option can't be used.
    """

    def __init__(
        self,
        acceptor: Acceptor,
        limits: Limits,
        flusher: Flusher,
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext | None = None,
        reuse_port: bool = False,
        header_senders: TrustedProxies | None = None,
    ) -> None:
        self._acceptor = acceptor
        self._tls = tls
        self._header_senders = header_senders
        self._host, self._port, self._reuse_port = host, port, reuse_port
        self._unix = _place(host, port, reuse_port)
        if self._unix is not None and reuse_port:
            raise ConfigError("reuse_port is for ports: a Unix socket belongs to one process")
        self._file: tuple[int, int] | None = None
        self._server: asyncio.Server | None = None
        self._tasks = BackgroundTasks()
        self._context = ListenerContext(limits, flusher, secure=tls is not None)
        self._handshakes = PendingHandshakes(limits.handshake_timeout)

    @property
    def port(self) -> int:
        """The port it listens on; 0 on a Unix socket, and before :meth:`start` if a free one was asked for."""
        return self._port

    @property
    def address(self) -> str:
        """Where clients connect to, as a URL."""
        scheme = "ws" if self._tls is None else "wss"
        if self._unix is not None:
            return f"{scheme}+{UNIX_PREFIX}{self._unix.path}"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self._port}"

    def configure(self, *, host: str | None, port: int | None, reuse_port: bool | None) -> None:
        """Change the address, before it is bound; None leaves a part of it as it is.

        Raises:
            ConfigError: it can't be used.
        """
        host = self._host if host is None else host
        port = self._port if port is None else port
        reuse_port = self._reuse_port if reuse_port is None else reuse_port
        self._unix = _place(host, port, reuse_port)
        self._host, self._port, self._reuse_port = host, port, reuse_port

    async def bind(self) -> None:
        """Take the address, so that the port is known; nobody is accepted yet.

        Raises:
            ConfigError: the address can't be used.
        """
        loop = asyncio.get_running_loop()
        if self._tls is not None and not has_certificate(self._tls):
            raise ConfigError("tls: the context has no certificate; give it yours with context.load_cert_chain(...)")
        try:
            if self._unix is not None:
                await self._start_unix(loop, self._unix)
            else:
                await self._start_tcp(loop)
        except (OSError, ValueError) as error:  # ValueError: no name of a host, nor of a file, can be so
            place = f"{self._host} port {self._port}" if self._unix is None else self._unix.path
            raise ConfigError(f"can't listen on {place}: {error}") from error

    async def _start_tcp(self, loop: asyncio.AbstractEventLoop) -> None:
        port = self._port
        for _ in range(_TRIES):
            try:
                server = await self._bound(loop, port)
            except OSError as error:
                if port == self._port or error.errno != errno.EADDRINUSE:
                    raise
                port = self._port
                continue
            ports = [each.getsockname()[1] for each in server.sockets]
            if len(set(ports)) == 1:
                self._server, self._port = server, ports[0]
                return
            # A host can have several addresses, of IPv4 and IPv6, and each got a free port of its own.
            server.close()
            port = ports[0]
        raise OSError(errno.EADDRINUSE, "no free port was found that is free on all addresses")

    async def _bound(self, loop: asyncio.AbstractEventLoop, port: int) -> asyncio.Server:
        return await loop.create_server(
            self._protocol,
            self._host,
            port,
            backlog=_BACKLOG,
            **self._server_tls(),
            reuse_port=self._reuse_port or None,
            start_serving=False,
        )

    async def _start_unix(self, loop: asyncio.AbstractEventLoop, place: UnixSocket) -> None:
        # The event loop would remove the socket of whoever listens there, and leave that one deaf without a word.
        if await place.is_served():
            raise OSError(errno.EADDRINUSE, "another process listens on this socket")
        self._server = await loop.create_unix_server(
            self._protocol, place.path, backlog=_BACKLOG, **self._server_tls(), start_serving=False
        )
        self._port = 0
        self._file = place.identity()
        place.apply_mode()

    def _server_tls(self) -> dict[str, Any]:
        """Options for TLS from the first byte; where an announcement comes first, it begins after that."""
        return {} if self._header_senders is not None else self._tls_options("ssl")

    def _tls_options(self, name: str) -> dict[str, Any]:
        """The context, and our limits instead of the event loop's: a minute for the handshake, half of one to end."""
        if self._tls is None:
            return {}
        limits = self._context.limits
        return {
            name: self._tls,
            "ssl_handshake_timeout": limits.handshake_timeout,
            "ssl_shutdown_timeout": limits.close_timeout,
        }

    async def serve(self) -> None:
        """Accept connections."""
        assert self._server is not None, "bind() comes first"
        await self._server.start_serving()

    async def stop(self) -> None:
        """Take no more connections; those that are there stay, and requests on them are still decided."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._unix is not None:
            self._unix.remove(self._file)
            self._file = None

    async def end(self) -> None:
        """End the connections that have not become WebSockets."""
        self._handshakes.close()
        await self._tasks.cancel()

    def _protocol(self) -> asyncio.Protocol:
        if self._header_senders is None:
            return HandshakeProtocol(self._acceptor, self._context, self._handshakes)
        tls = self._tls_options("sslcontext")
        return ProxyHeaderProtocol(
            self._header_senders, self._handshakes, self._context.request_warnings, tls, self._begin, self._tasks
        )

    def _begin(self, header: ProxyHeader) -> HandshakeProtocol:
        return HandshakeProtocol(self._acceptor, self._context, self._handshakes, header)


def _place(host: object, port: object, reuse_port: object) -> UnixSocket | None:
    """Check an address; return that of a Unix socket, or None for one of TCP."""
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise ConfigError(f"port={port!r}: give a whole number from 0, for a free one, to 65535")
    require_bool("reuse_port", reuse_port)
    if isinstance(host, str) and host.startswith(UNIX_PREFIX):
        return UnixSocket.parse(host)
    require_host(host)
    return None
