"""HTTP over ASGI: the request of a scope, and the sending of responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from crosswire.core.headers import Headers
from crosswire.transport.asgi_connection import Receive
from crosswire.transport.asgi_writer import Send
from crosswire.transport.http_response import BODILESS_STATUSES
from crosswire.transport.interface import Acceptor, HttpRequest, Response

Scope = Mapping[str, Any]

_PATH = "/:@!$&'()*+,;=~"
"""Characters of a path that are not percent-encoded (RFC 3986, section 3.3)."""
_DENIAL = "websocket.http.response"
"""Name of the extension by which a WebSocket is refused with a response of HTTP."""


def make_request(scope: Scope) -> HttpRequest:
    """Return the request of a scope. Its path is relative to where the application is mounted."""
    query = scope.get("query_string", b"")
    client = scope.get("client")
    return HttpRequest(
        quote(relative_path(scope), _PATH) + (f"?{query.decode('latin-1')}" if query else ""),
        _headers(scope),
        client[0] if client else "",
        scope.get("method", "GET"),
        secure=scope.get("scheme") in ("https", "wss"),
        websocket=scope["type"] == "websocket",
    )


def _headers(scope: Scope) -> Headers:
    headers = Headers.of_bytes(scope.get("headers", ()))
    offered = scope.get("subprotocols")
    if offered and "sec-websocket-protocol" not in headers:  # uvicorn takes the field out with `--ws wsproto`
        return Headers([*headers.items(), ("sec-websocket-protocol", ", ".join(offered))])
    return headers


def relative_path(scope: Scope) -> str:
    """Return the path of a scope without its ``root_path``, which not every ASGI server puts in front of it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if root and (path == root or path.startswith(f"{root}/")):
        path = path[len(root) :]
    if path.endswith("/") and not scope.get("raw_path", b"/").endswith(b"/"):
        path = path[:-1]  # Litestar has added it for a mounted application
    return path if path.startswith("/") else f"/{path}"


async def answer_http(acceptor: Acceptor, max_body: int, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a plain HTTP request with what an acceptor says.

    Args:
        acceptor: of the server.
        max_body: bytes; of a longer body only the beginning is read, of one byte more.
        scope: of the ASGI call, of type ``http``.
        receive: of the ASGI call.
        send: of the ASGI call.
    """
    request = make_request(scope)
    if acceptor.wants_body(request):
        body = await _read_body(receive, max_body)
        if body is None:
            return
        request.body = body
    answer = acceptor.accept(request)
    assert isinstance(answer, Response), "only a request for a WebSocket is accepted"
    await send_response(send, answer, with_body=request.method != "HEAD")


async def _read_body(receive: Receive, max_size: int) -> bytes | None:
    """Return the body of a request, or None if the client has gone before it was whole."""
    body = bytearray()
    while len(body) <= max_size:
        event = await receive()
        if event["type"] != "http.request":
            return None
        body += event.get("body", b"")
        if not event.get("more_body", False):
            break
    return bytes(body[: max_size + 1])


async def send_response(send: Send, response: Response, *, with_body: bool = True) -> None:
    """Send the response to an HTTP request; without its body after HEAD."""
    await _send(send, "http.response", response, with_body=with_body)


async def refuse_websocket(scope: Scope, send: Send, response: Response) -> None:
    """Refuse a WebSocket with a response where the ASGI server can send one, else with its own, which is 403."""
    if _DENIAL in scope.get("extensions", {}):
        await _send(send, _DENIAL, response)
    else:
        await send({"type": "websocket.close"})


async def _send(send: Send, kind: str, response: Response, *, with_body: bool = True) -> None:
    fields = {name.lower(): value for name, value in response.headers.items()}
    if response.status not in BODILESS_STATUSES:
        fields.setdefault("content-length", str(len(response.body)))
        if response.body:
            fields.setdefault("content-type", "text/plain; charset=utf-8")
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
    body = response.body if with_body and response.status not in BODILESS_STATUSES else b""
    await send({"type": f"{kind}.start", "status": int(response.status), "headers": headers})
    await send({"type": f"{kind}.body", "body": body})
