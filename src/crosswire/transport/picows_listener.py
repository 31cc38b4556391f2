"""Listens on one address with picows, over TCP, TLS or a Unix socket."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Any

from crosswire.core.limits import Limits
from crosswire.core.options import require_bool, require_host
from crosswire.core.proxies import TrustedProxies
from crosswire.errors import ConfigError
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.flusher import Flusher
from crosswire.transport.accept_gate import AcceptGate
from crosswire.transport.connection_servers import LOOP_ACCEPTED_AT_ONCE, ConnectionServer, LoopServer, SocketServer
from crosswire.transport.interface import Acceptor, HttpApplication
from crosswire.transport.listener_context import ListenerContext, ignore_refusal
from crosswire.transport.pending_handshakes import AddressGuard, PendingHandshakes
from crosswire.transport.picows_handshake import HandshakeProtocol
from crosswire.transport.proxy_header import ProxyHeader
from crosswire.transport.proxy_header_protocol import ProxyHeaderProtocol
from crosswire.transport.socket_poller import SocketPoller, can_poll
from crosswire.transport.tls import has_certificate
from crosswire.transport.tls_files import ReloadedTls, Tls
from crosswire.transport.unix_socket import UNIX_PREFIX, UnixSocket

MAX_BIND_ATTEMPTS = 20
"""Number of free ports that are tried until one is free on all addresses of a host."""

_NO_TIMEOUT = 86400.0
"""Seconds of a timeout of the event loop that can't be left out and is not to be reached."""


class PicowsListener:
    """A ``NetworkListener`` on one address; see interface.py.

    Args:
        acceptor: decides about every request.
        limits: of every connection.
        flusher: of the connections' outboxes.
        host: an IPv4 or IPv6 address or name, or ``unix:/path`` for a Unix socket, ``?mode=660`` for its mode.
        port: 0 for a free one, the same on all addresses of the host.
        tls: context for ``wss``, or the files that it is made from.
        reuse_port: let several processes listen on the port (``SO_REUSEPORT``).
        header_senders: proxies that begin every connection with a header of the PROXY protocol; None for none.
        has_proxies: whether proxies name the clients, so that limits on addresses are not for peers.
        count_refusal: told the reason for each connection that is not let in: an HTTP status, or a word.

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
        tls: ssl.SSLContext | Tls | None = None,
        reuse_port: bool = False,
        header_senders: TrustedProxies | None = None,
        has_proxies: bool = False,
        count_refusal: Callable[[str], None] = ignore_refusal,
    ) -> None:
        self._acceptor = acceptor
        self._header_senders = header_senders
        self._host, self._port, self._reuse_port = host, port, reuse_port
        self._unix = _parse_address(host, port, reuse_port)
        if self._unix is not None and reuse_port:
            raise ConfigError("reuse_port is for ports: a Unix socket belongs to one process")
        self._application: HttpApplication | None = None
        self._file: tuple[int, int] | None = None
        self._server: asyncio.Server | None = None  # bound, and not serving yet
        self._tasks = BackgroundTasks()
        self._context = ListenerContext(limits, flusher, count_refusal=count_refusal)
        self._use_tls(tls)
        self._handshakes = PendingHandshakes(
            limits.handshake_timeout, limits.unauthenticated, _guard(limits, has_proxies), self._pause, self._dropped
        )
        self._gate = AcceptGate(self._start_server, self._handshakes.has_room, self._tasks)
        self._poller: SocketPoller | None = None  # of the connections that this listener accepts by itself

    @property
    def port(self) -> int:
        return self._port

    @property
    def address(self) -> str:
        scheme = "ws" if self._tls is None else "wss"
        if self._unix is not None:
            return f"{scheme}+{UNIX_PREFIX}{self._unix.path}"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self._port}"

    def share_with(self, application: HttpApplication) -> None:
        self._application = application

    def configure(self, *, host: str | None, port: int | None, reuse_port: bool | None, tls: Tls | None = None) -> None:
        host = self._host if host is None else host
        port = self._port if port is None else port
        reuse_port = self._reuse_port if reuse_port is None else reuse_port
        self._unix = _parse_address(host, port, reuse_port)
        self._host, self._port, self._reuse_port = host, port, reuse_port
        if tls is not None:
            self._use_tls(tls)

    def _use_tls(self, tls: ssl.SSLContext | Tls | None) -> None:
        self._tls_files: ReloadedTls | None = None
        self._tls: ssl.SSLContext | None = None
        if isinstance(tls, Tls):
            self._tls_files = ReloadedTls(tls)
            self._tls = self._tls_files.context
        else:
            self._tls = tls
        self._context.secure = tls is not None

    async def bind(self) -> None:
        loop = asyncio.get_running_loop()
        self._context.read_turns.begin()
        if self._tls is not None and not has_certificate(self._tls):
            raise ConfigError("tls: the context has no certificate; give it yours with context.load_cert_chain(...)")
        try:
            if self._unix is not None:
                await self._start_unix(loop, self._unix)
            else:
                await self._start_tcp(loop)
        except (OSError, ValueError) as error:  # ValueError: no host or file can have such a name
            place = f"{self._host} port {self._port}" if self._unix is None else self._unix.path
            raise ConfigError(f"can't listen on {place}: {error}") from error

    async def _start_tcp(self, loop: asyncio.AbstractEventLoop) -> None:
        port = self._port
        for _ in range(MAX_BIND_ATTEMPTS):
            try:
                server = await self._create_server(loop, port)
            except OSError as error:
                if port == self._port or error.errno != errno.EADDRINUSE:
                    raise
                port = self._port
                continue
            ports = [each.getsockname()[1] for each in server.sockets]
            if len(set(ports)) == 1:
                self._server, self._port = server, ports[0]
                return
            # A host can have addresses of IPv4 and IPv6, and each of them got a free port of its own.
            server.close()
            port = ports[0]
        raise OSError(errno.EADDRINUSE, "no free port was found that is free on all addresses")

    async def _create_server(self, loop: asyncio.AbstractEventLoop, port: int) -> asyncio.Server:
        return await loop.create_server(
            self._protocol,
            self._host,
            port,
            backlog=LOOP_ACCEPTED_AT_ONCE,
            reuse_port=self._reuse_port or None,
            start_serving=False,
        )

    async def _start_unix(self, loop: asyncio.AbstractEventLoop, place: UnixSocket) -> None:
        # The event loop would remove the socket of a process that listens there, which would not notice.
        if await place.is_served():
            raise OSError(errno.EADDRINUSE, "another process listens on this socket")
        self._server = await loop.create_unix_server(
            self._protocol, place.path, backlog=LOOP_ACCEPTED_AT_ONCE, start_serving=False
        )
        self._port = 0
        self._file = place.identity()
        place.apply_mode()

    def _tls_options(self) -> dict[str, Any]:
        """Return the context, with our timeouts.

        The event loop's are a minute for the handshake, and half of it to end. The time of a handshake is that of the
        pending ones, which know whether this server is late.
        """
        if self._tls is None:
            return {}
        limits = self._context.limits
        return {
            "sslcontext": self._tls,
            "ssl_handshake_timeout": _NO_TIMEOUT,
            "ssl_shutdown_timeout": limits.close_timeout,
        }

    async def serve(self) -> None:
        assert self._server is not None, "bind() comes first"
        if self._may_poll():
            self._poller = SocketPoller()
        await self._gate.serve(self._server)
        if self._tls_files is not None:
            self._tls_files.start()

    @property
    def reload(self) -> Callable[[], None] | None:
        return None if self._tls_files is None else self._tls_files.reload

    def _may_poll(self) -> bool:
        """Return whether nobody needs the event loop's transports: neither TLS, nor who takes connections over."""
        return can_poll() and self._tls is None and self._header_senders is None and self._application is None

    async def _start_server(self, place: socket.socket) -> ConnectionServer:
        """Return a server that accepts connections on a socket."""
        if self._poller is not None:
            return SocketServer(place, self._poller, self._make_handshake, self._gate, self._context.read_turns)
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {"sock": place, "backlog": LOOP_ACCEPTED_AT_ONCE, "start_serving": False}
        create = loop.create_server if self._unix is None else loop.create_unix_server
        server = await create(self._protocol, **options)
        try:
            await server.start_serving()
        except BaseException:  # it serves already if this is cancelled
            server.close()
            raise
        return LoopServer(server)

    async def stop(self) -> None:
        self._gate.close()
        if self._tls_files is not None:
            self._tls_files.stop()
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._unix is not None:
            self._unix.remove(self._file)
            self._file = None

    async def end(self) -> None:
        self._handshakes.close()
        if self._poller is not None:
            self._poller.end()
        await self._tasks.cancel()

    def _pause(self) -> None:
        self._gate.pause()

    def _dropped(self, reason: str) -> None:
        """Count a connection that was dropped before its request was there; warn unless it was just idle."""
        self._context.count_refusal(reason)
        if (why := _WHY.get(reason)) is not None:
            self._context.request_warnings.warn("dropped", "a connection without a request was dropped: %s", why)

    def _protocol(self) -> asyncio.Protocol:
        self._gate.check()
        if self._header_senders is None and self._tls is None:
            return self._make_handshake()
        tls = self._tls_options()
        return ProxyHeaderProtocol(
            self._header_senders,
            self._handshakes,
            self._context.request_warnings,
            tls,
            self._make_handshake,
            self._tasks,
            self._context.read_turns,
        )

    def _make_handshake(self, header: ProxyHeader | None = None) -> HandshakeProtocol:
        return HandshakeProtocol(self._acceptor, self._context, self._handshakes, self._application, header)


_WHY = {
    "address": "its address has too many, or opens them too fast",
    "gave way": "Limits(unauthenticated) others wait, and it is the oldest",
}


def _guard(limits: Limits, has_proxies: bool) -> AddressGuard | None:
    if has_proxies or (limits.address_connections is None and limits.address_rate is None):
        return None
    return AddressGuard(limits.address_connections, limits.address_rate)


def _parse_address(host: object, port: object, reuse_port: object) -> UnixSocket | None:
    """Check an address; return it if it is of a Unix socket, or None if it is of TCP."""
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise ConfigError(f"port={port!r}: give a whole number from 0, for a free one, to 65535")
    require_bool("reuse_port", reuse_port)
    if isinstance(host, str) and host.startswith(UNIX_PREFIX):
        return UnixSocket.parse(host)
    require_host(host)
    return None
