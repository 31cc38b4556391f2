"""Finds out whether an application has a WebSocket route of its own on a path, where it tells its routes."""

from __future__ import annotations

from typing import Any

_FULL_MATCH = 2
"""Value of the ``Match`` of Starlette with which a route takes a request."""


def has_websocket_route(app: object, path: str) -> bool:
    """Return whether an application of Starlette or FastAPI has a WebSocket route on a path.

    Others do not tell their routes in this way, and neither does an application that is mounted in one of these, or
    that middleware is wrapped around.
    """
    routes = getattr(app, "routes", None)
    scope = {"type": "websocket", "path": path, "root_path": "", "headers": [], "path_params": {}}
    return isinstance(routes, list) and _has_match(routes, scope)


def _has_match(routes: list[Any], scope: dict[str, Any]) -> bool:
    for route in routes:
        if not callable(getattr(route, "matches", None)):
            continue
        match, more = route.matches(scope)
        if match.value != _FULL_MATCH:
            continue
        inner = getattr(route, "routes", None)  # of a mount, which takes every path below it
        if inner is None or _has_match(inner, scope | more):
            return True
    return False
