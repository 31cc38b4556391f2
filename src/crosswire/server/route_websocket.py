"""The WebSocket that a route of another application hands over, as its framework represents it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crosswire.errors import UsageError
from crosswire.transport.asgi import AsgiCall

_EXPECTED = "give the WebSocket of FastAPI, Starlette or Litestar, or the scope, receive and send of an ASGI call"


def call_of(websocket: Any, receive: Any = None, send: Any = None) -> AsgiCall:
    """Return the ASGI call of a WebSocket.

    Args:
        websocket: of FastAPI, Starlette or Litestar; a scope; or a tuple of a scope, ``receive`` and ``send``.
        receive: of the ASGI call, if ``websocket`` is its scope.
        send: of the ASGI call, if ``websocket`` is its scope.

    Raises:
        UsageError: this is no WebSocket, or it was closed already.
    """
    if isinstance(websocket, tuple) and len(websocket) == 3:
        websocket, receive, send = websocket
    scope: Any = websocket
    is_begun = is_accepted = False
    if hasattr(websocket, "scope") or not isinstance(websocket, Mapping):  # that of Starlette is a Mapping too
        scope = getattr(websocket, "scope", None)
        receive, send = getattr(websocket, "receive", None), getattr(websocket, "send", None)
        is_begun, is_accepted = _progress(websocket)
    if not (isinstance(scope, Mapping) and all(map(callable, (receive, send)))):
        raise UsageError(f"{type(websocket).__name__} is no WebSocket: {_EXPECTED}")
    if scope.get("type") != "websocket":
        raise UsageError(f"this is no WebSocket, but of the ASGI type {scope.get('type')!r}: {_EXPECTED}")
    return AsgiCall(scope, receive, send, is_begun, is_accepted, is_routed=True)


def _progress(websocket: Any) -> tuple[bool, bool]:
    """Return whether ``websocket.connect`` was received, and whether the WebSocket was accepted.

    Raises:
        UsageError: the WebSocket was closed, or refused.
    """
    application, client = getattr(websocket, "application_state", None), getattr(websocket, "client_state", None)
    if application is not None and client is not None:  # Starlette
        states = application.name, client.name
        is_begun, is_accepted = states[1] != "CONNECTING", states[0] != "CONNECTING"
        is_over = "DISCONNECTED" in states or states[0] == "RESPONSE"
    else:  # Litestar receives and accepts in one step
        state = getattr(websocket, "connection_state", "init")
        is_begun = is_accepted = state != "init"
        is_over = state == "disconnect"
    if is_over:
        raise UsageError("this WebSocket was closed or refused already")
    return is_begun, is_accepted
