"""The ASGI application of a server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from crosswire.errors import CrosswireError, UsageError
from crosswire.runtime.log_records import get_logger, node_name
from crosswire.server.lifecycle import Lifecycle
from crosswire.server.upgrade import Upgrades
from crosswire.transport.asgi import AsgiCall, AsgiWebSockets
from crosswire.transport.asgi_connection import Receive
from crosswire.transport.asgi_http import answer_http, refuse_websocket
from crosswire.transport.asgi_writer import Send
from crosswire.transport.interface import AsyncAcceptor, Response
from crosswire.transport.listener_context import ListenerContext

logger = get_logger("crosswire.server")

DRAIN_TIME = 10.0
"""Seconds over which connections that the ASGI server has left open are closed at its shutdown."""


class ServerApplication:
    """ASGI application that serves the WebSockets and pages of a server, and runs the server in its lifespan.

    Args:
        lifecycle: of the server.
        upgrades: answers plain HTTP requests.
        acceptor: decides about WebSockets.
        context: limits and flusher of the connections.
    """

    def __init__(
        self, lifecycle: Lifecycle, upgrades: Upgrades, acceptor: AsyncAcceptor, context: ListenerContext
    ) -> None:
        self._lifecycle = lifecycle
        self._upgrades = upgrades
        self._websockets = AsgiWebSockets(acceptor, context)
        self._max_body = context.limits.max_message

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one call of an ASGI server: a WebSocket, a plain HTTP request or the lifespan."""
        if scope["type"] == "websocket":
            await self._serve_websocket(scope, receive, send)
        elif scope["type"] == "http":
            node_name.set(self._lifecycle.name)
            await answer_http(self._upgrades, self._max_body, scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._serve_lifespan(receive, send)
        else:
            raise UsageError(f"an ASGI scope of the type {scope['type']!r} can't be served")

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Run the server, without a port of its own, while the context is entered."""
        await self._lifecycle.start(listen=False)
        try:
            yield
        finally:
            await self._lifecycle.stop(DRAIN_TIME)

    async def accept(self, call: AsgiCall, user: str | None) -> None:
        """Serve a WebSocket that a route hands over, until it is closed.

        Args:
            call: of the ASGI server.
            user: of the connection; None to ask ``authenticate``.

        Raises:
            UsageError: the server was not started, or in another event loop.
        """
        node_name.set(self._lifecycle.name)  # of the task of this connection
        if not self._upgrades.draining:
            self._lifecycle.require_running()
        await self._websockets.serve(call, user)

    async def _serve_websocket(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        try:
            await self.accept(AsgiCall(scope, receive, send), None)
        except UsageError as error:
            logger.error("a WebSocket was refused with HTTP 503: %s", error)  # noqa: TRY400 - the text says it all
            await receive()
            await refuse_websocket(scope, send, Response(503, b"the server was not started"))

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        started = False
        try:
            async with self.lifespan():
                started = True
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:
            if not isinstance(error, CrosswireError):
                logger.exception("the server could not be %s", "stopped" if started else "started")
            what = "shutdown" if started else "startup"
            await send({"type": f"lifespan.{what}.failed", "message": f"{type(error).__name__}: {error}"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
