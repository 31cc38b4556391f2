"""Answers plain HTTP requests on the port of the WebSockets: a health check, a page, a metric."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Protocol
from urllib.parse import unquote

from crosswire.core.listeners import Listener
from crosswire.core.signatures import Arguments
from crosswire.errors import ConfigError, InvalidPayload
from crosswire.runtime.log_records import about, get_logger
from crosswire.server.handshake import Handshake
from crosswire.server.json_response import json_response
from crosswire.server.publish import PUBLISH_PATHS, PublishEndpoint
from crosswire.transport.http_response import require_sendable
from crosswire.transport.interface import Response

logger = get_logger("crosswire.http")

_ALLOWED = {"Allow": "GET, HEAD, OPTIONS"}
_REQUEST = Arguments(request=Handshake)

HEALTH_PATHS = ("/healthz", "/readyz")
"""Paths that are built in."""

PageHandler = Callable[..., Any]
"""Function that takes the request or nothing, and returns a str, bytes, a ``Response``, or data for JSON."""


class NodeState(Protocol):
    """A node, as far as it says whether a server is ready."""

    @property
    def running(self) -> bool:
        """Whether it has joined its cluster."""
        ...

    @property
    def bus_available(self) -> bool:
        """Whether it reaches one of its Redis, if it needs any."""
        ...


class PlainRoutes:
    """Handlers of GET and HEAD requests by path; ``/healthz`` and ``/readyz`` are built in, and can be replaced.

    Args:
        node: of the server.
        publish: the endpoint of other programs that send, or None.
    """

    __slots__ = ("_by_path", "_node", "_publish")

    def __init__(self, node: NodeState, publish: PublishEndpoint | None = None) -> None:
        self._by_path: dict[str, Listener] = {}
        self._node = node
        self._publish = publish

    def add(self, path: object, handler: PageHandler) -> None:
        """Add the handler of a path.

        Raises:
            ConfigError: the path does not start with a slash, can never match, or belongs to the publish endpoint; or
                the handler is asynchronous: answers are given at once.
        """
        path = require_path(path)
        if self._publish is not None and path in PUBLISH_PATHS:
            raise ConfigError(f"{path} belongs to the publish endpoint, which publish_key has opened")
        listener = Listener(handler, _REQUEST, f"GET {path}")
        if listener.is_async:
            raise ConfigError(f"the handler of {path} must be synchronous: prepare its answer beforehand")
        self._by_path[path] = listener

    def serves(self, path: str) -> bool:
        """Return whether there is a page, or something else that is built in, on a path."""
        if path in self._by_path or path in HEALTH_PATHS:
            return True
        return self._publish is not None and path in PUBLISH_PATHS

    def wants_body(self, request: Handshake, method: str) -> bool:
        """Return whether the body of a request is needed for its answer."""
        return self._publish is not None and self._publish.wants_body(request, method)

    def answer(self, request: Handshake, method: str = "GET", body: bytes = b"", *, draining: bool) -> Response:
        """Answer a request without an upgrade. HEAD gets the answer of GET; the transport leaves out its body."""
        if self._publish is not None and request.path in PUBLISH_PATHS:
            return self._publish.answer(request, method, body)
        if method == "OPTIONS":
            return Response(204, headers=_ALLOWED)
        if method not in ("GET", "HEAD"):
            return Response(405, b"only GET and HEAD are answered here", _ALLOWED)
        if not request.path.startswith("/"):  # as in ``GET *``, or a host alone
            return Response(400, b"the target of a request is a path")
        listener = self._by_path.get(request.path)
        if listener is not None:
            return _call(listener, request)
        if request.path == "/healthz":
            return json_response({"status": "ok"})
        if request.path == "/readyz":
            return _readiness(self._node, draining)
        return Response(426, b"this is a WebSocket server", {"Upgrade": "websocket"})


def require_path(path: object) -> str:
    """Return the path of a page.

    Raises:
        ConfigError: it does not start with a slash, or can never match.
    """
    if callable(path):
        raise ConfigError("get takes a path and then the handler: write @server.get('/path')")
    if not isinstance(path, str) or not path.startswith("/"):
        raise ConfigError(f"a path starts with a slash: {path!r}")
    if "?" in path or "#" in path or unquote(path) != path:
        raise ConfigError(f"{path!r} can never match: a path is compared decoded, and without the query")
    return path


def _readiness(node: NodeState, draining: bool) -> Response:
    joined, redis = node.running, node.bus_available
    ready = joined and redis and not draining
    content = {"ready": ready, "joined": joined, "redis": redis, "draining": draining}
    return json_response(content, 200 if ready else 503)


def _call(listener: Listener, request: Handshake) -> Response:
    try:
        answer = copy_context().run(listener.handler, *(request,)[: listener.arity])
        if isinstance(answer, Response):
            return require_sendable(answer)
        if isinstance(answer, str):
            return Response(body=answer.encode())
        if isinstance(answer, bytes):
            return Response(body=answer, headers={"Content-Type": "application/octet-stream"})
        return _json_page(answer)
    except Exception:
        logger.exception("the handler of %s failed", request.path, extra=about(event=f"GET {request.path}"))
        return Response(500, b"the handler failed")


def _json_page(data: Any) -> Response:
    try:
        return json_response(data)
    except InvalidPayload as error:
        raise TypeError(f"a handler returns str, bytes, a Response or data for JSON: {error.message}") from error
