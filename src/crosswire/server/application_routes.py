"""Finds out whether an application has a WebSocket route of its own on a path, where it tells its routes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_FULL_MATCH = 2
"""Value of the ``Match`` of Starlette with which a route takes a request."""


def has_websocket_route(app: object, path: str) -> bool:
    """Return whether an application of Starlette or FastAPI has a WebSocket route on a path.

    Others do not tell their routes in this way, and neither does an application that is mounted in one of these, or
    that middleware is wrapped around.
    """
    scope = {"type": "websocket", "path": path, "root_path": "", "headers": [], "path_params": {}}
    return _has_match(getattr(app, "routes", ()), scope)


def _has_match(routes: Any, scope: dict[str, Any]) -> bool:
    if not isinstance(routes, Iterable):
        return False
    for route in routes:
        matches = getattr(route, "matches", None)
        if not callable(matches):
            continue
        match, more = matches(scope)
        if match.value != _FULL_MATCH:
            continue
        if not hasattr(route, "routes"):
            return True
        if _has_match(route.routes, scope | more):  # a mount takes every path below it
            return True
    return False
