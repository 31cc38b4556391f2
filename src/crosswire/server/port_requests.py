"""Hands the requests on a shared port to the server's own pages or to the application."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from crosswire.core.headers import Headers
from crosswire.core.proxies import TrustedProxies
from crosswire.server.plain_http import PlainRoutes
from crosswire.transport.interface import AsgiApplication


class PortRequests:
    """The ASGI application of a shared port.

    Args:
        app: the application.
        own: answers what the server itself serves.
        routes: know what that is.
        proxies: trusted about the client's address and scheme, or None.
    """

    __slots__ = ("_app", "_own", "_proxies", "_routes")

    def __init__(
        self, app: AsgiApplication, own: AsgiApplication, routes: PlainRoutes, proxies: TrustedProxies | None
    ) -> None:
        self._app = app
        self._own = own
        self._routes = routes
        self._proxies = proxies

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """Return the coroutine that answers; not a coroutine itself, which would be another one for each request."""
        if scope["type"] == "http" and self._routes.serves(scope["path"]):
            return self._own(scope, receive, send)
        if self._proxies is not None:
            _name_client(scope, self._proxies)
        return self._app(scope, receive, send)


def _name_client(scope: Any, proxies: TrustedProxies) -> None:
    """Change the client and the scheme of a scope to those that trusted proxies name."""
    client = scope["client"]
    peer = client[0] if client else ""
    is_websocket = scope["type"] == "websocket"
    scheme = "https" if scope["scheme"] in ("https", "wss") else "http"
    source = proxies.resolve(peer, scheme, Headers.of_bytes(scope["headers"]))
    if source.remote != peer:
        scope["client"] = (source.remote, 0) if source.remote else None  # they don't name the port
    if source.scheme != scheme:
        scope["scheme"] = source.scheme.replace("http", "ws") if is_websocket else source.scheme
