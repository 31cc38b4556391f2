"""Metrics for Prometheus, where ``Server(metrics=True)`` is not the place: the extra ``crosswire[prometheus]``.

``Server(metrics=True)`` serves them at ``/metrics`` of the server's own port. Here are the same metrics as an ASGI
application, to serve them on another port or behind a login, and as a collector for a registry of your own; of a
server, or of a node without clients. Ask for them before the start: what is to be counted is decided there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from crosswire.cluster.node import Node
from crosswire.runtime.prometheus import Exposition
from crosswire.server.server import Server

__all__ = ["asgi_app", "collector"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApplication = Callable[[Scope, Receive, Send], Awaitable[None]]


def collector(member: Server | Node) -> Exposition:
    """Return a collector of the metrics of a server or a node, for a registry of prometheus-client.

    Raises:
        ConfigError: the server or the node runs already, or prometheus-client is not installed.

    Example::

        prometheus_client.REGISTRY.register(collector(server))
    """
    return Exposition(member.instruments.measure())


def asgi_app(member: Server | Node) -> AsgiApplication:
    """Return an ASGI application that answers every GET with the metrics of a server or a node.

    Raises:
        ConfigError: the server or the node runs already, or prometheus-client is not installed.

    Example::

        app.mount("/internal/metrics", asgi_app(server))
    """
    exposition = collector(member)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"the metrics are answered over HTTP, not over {scope['type']!r}")
        if scope["method"] not in ("GET", "HEAD"):
            status, body, content_type = 405, b"only GET and HEAD are answered here", "text/plain"
        else:
            status = 200
            body, content_type = exposition.text(_accepted(scope))
        fields = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return application


def _accepted(scope: Scope) -> str:
    return ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"accept")
