"""The application on the port of a server: its lifespan, and its requests until the server has stopped."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from crosswire.core.limits import Limits
from crosswire.server.application_routes import has_websocket_route
from crosswire.server.handshake import path_of
from crosswire.server.lifespan import Lifespan
from crosswire.server.options import require_application
from crosswire.server.plain_http import PlainRoutes
from crosswire.server.port_requests import PortRequests
from crosswire.server.upgrade import Upgrades
from crosswire.transport.asgi_http import answer_http
from crosswire.transport.interface import AsgiApplication, HttpApplication, HttpRequest
from crosswire.transport.network import make_application


class PortApplication:
    """An application that shares the port of a server.

    Args:
        app: the application.
        upgrades: decide which requests are for WebSockets of the server, and answer what it serves itself.
        routes: know what that is.
        limits: of the connections.
        access_log: whether each request is logged.

    Attributes:
        http: serves its requests.

    Raises:
        ConfigError: ``app`` is no ASGI application, or uvicorn is not installed.
    """

    __slots__ = ("_access_log", "_app", "_lifespan", "_upgrades", "http")

    def __init__(
        self, app: AsgiApplication, upgrades: Upgrades, routes: PlainRoutes, limits: Limits, *, access_log: bool
    ) -> None:
        self._access_log = access_log
        self._app = require_application(app)
        requests = PortRequests(app, partial(answer_http, upgrades, limits.max_message), routes, upgrades.proxies)
        self._upgrades = upgrades
        self.http: HttpApplication = make_application(requests, self._takes_websocket, limits)
        self._lifespan: Lifespan | None = None

    def _takes_websocket(self, request: HttpRequest) -> bool:
        """Return whether a request is for a WebSocket of the server, on its paths or on no route of the application."""
        if not self._upgrades.takes(request):
            return False
        return self._upgrades.has_paths or not has_websocket_route(self._app, path_of(request.target))

    async def start(self) -> None:
        """Start the application, and serve its requests.

        Raises:
            ConfigError: it did not start.
        """
        self._lifespan = Lifespan(self._app)
        await self._lifespan.start()
        self.http.start(self._lifespan.state, access_log=self._access_log)

    async def close_idle(self) -> None:
        """Close connections without a request, and each of the others after its current one."""
        self.http.close_idle()

    async def finish(self, deadline: float, caller: asyncio.Task[Any] | None) -> None:
        """Wait for requests until ``deadline``, in loop time, but not for that of ``caller``; cut the others."""
        await self.http.finish(deadline, caller)

    async def stop(self) -> None:
        """Shut the application down, once it gets no more requests."""
        self.http.end()
        if self._lifespan is not None:
            lifespan, self._lifespan = self._lifespan, None
            await lifespan.stop()
