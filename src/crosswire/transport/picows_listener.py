"""Listens on one address, and lets every connection begin with an HTTP request."""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
from contextlib import suppress
from typing import Any

from crosswire.errors import ConfigError
from crosswire.runtime.notices import Notices
from crosswire.transport.interface import Acceptor
from crosswire.transport.openings import Openings
from crosswire.transport.outbox import Flusher
from crosswire.transport.picows_opening import Opening
from crosswire.transport.picows_server import Shared
from crosswire.types import Limits

_BACKLOG = 4096
_TRIES = 20
UNIX_PREFIX = "unix:"


class PicowsListener:
    """Accepts connections on one address.

    Args:
        acceptor: decides about every request.
        limits: of every connection.
        flusher: of the connections' outboxes.
        host: an IPv4 or IPv6 address or name, or ``unix:/path`` for a Unix socket.
        port: 0 for a free one, the same on all addresses of the host.
        tls: context for ``wss``.
        reuse_port: let several processes listen on the port (``SO_REUSEPORT``).

    Raises:
        ConfigError: the port is none.
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
    ) -> None:
        self._acceptor = acceptor
        self._host = host
        self._port = _checked(port)
        self._tls = tls
        self._reuse_port = reuse_port
        self._server: asyncio.Server | None = None
        self._shared = Shared(limits, flusher, Notices(logging.getLogger("crosswire.http")))
        self._openings = Openings(limits.handshake_timeout)

    @property
    def port(self) -> int:
        """The port it listens on; 0 on a Unix socket, and before :meth:`start` if a free one was asked for."""
        return self._port

    @property
    def address(self) -> str:
        """Where clients connect to, as a URL."""
        scheme = "ws" if self._tls is None else "wss"
        if self._host.startswith(UNIX_PREFIX):
            return f"{scheme}+{self._host}"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self._port}"

    def configure(self, *, host: str | None, port: int | None, reuse_port: bool | None) -> None:
        """Change the address, before it is bound; None leaves a part of it as it is."""
        self._host = self._host if host is None else host
        self._port = self._port if port is None else _checked(port)
        self._reuse_port = self._reuse_port if reuse_port is None else reuse_port

    async def bind(self) -> None:
        """Take the address, so that the port is known; nobody is accepted yet.

        Raises:
            ConfigError: the address can't be used.
        """
        loop = asyncio.get_running_loop()
        try:
            if self._host.startswith(UNIX_PREFIX):
                await self._start_unix(loop, "/" + self._host.removeprefix(UNIX_PREFIX).lstrip("/"))
            else:
                await self._start_tcp(loop)
        except (OSError, ValueError) as error:  # ValueError: no name of a host, nor of a file, can be so
            raise ConfigError(f"can't listen on {self._host} port {self._port}: {error}") from error

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
            **self._tls_options(),
            reuse_port=self._reuse_port or None,
            start_serving=False,
        )

    async def _start_unix(self, loop: asyncio.AbstractEventLoop, path: str) -> None:
        # The event loop would remove the socket of whoever listens there, and leave that one deaf without a word.
        if await _is_served(path):
            raise OSError(errno.EADDRINUSE, "another process listens on this socket")
        self._server = await loop.create_unix_server(
            self._protocol, path, backlog=_BACKLOG, **self._tls_options(), start_serving=False
        )
        self._port = 0

    def _tls_options(self) -> dict[str, Any]:
        """The context, and our limits instead of the event loop's: a minute for the handshake, half of one to end."""
        if self._tls is None:
            return {}
        limits = self._shared.limits
        return {
            "ssl": self._tls,
            "ssl_handshake_timeout": limits.handshake_timeout,
            "ssl_shutdown_timeout": limits.close_timeout,
        }

    async def serve(self) -> None:
        """Accept connections."""
        assert self._server is not None, "bind() comes first"
        await self._server.start_serving()

    async def stop(self) -> None:
        """Take no more connections; WebSockets stay open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._openings.end()

    def _protocol(self) -> Opening:
        return Opening(self._acceptor, self._shared, self._openings)


async def _is_served(path: str) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:  # no file, or one that a process left behind
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


def _checked(port: int) -> int:
    if type(port) is not int or not 0 <= port <= 65535:
        raise ConfigError(f"port={port!r}: give a whole number from 0, for a free one, to 65535")
    return port
