"""Answers HTTP scopes by an acceptor."""

from __future__ import annotations

from typing import Any

from crosswire.core.headers import Headers
from crosswire.transport.interface import Acceptor, AsgiApplication, HttpRequest, Response


def answer_by(acceptor: Acceptor, max_body: int) -> AsgiApplication:
    """Return an application that answers every request by the acceptor; of a body it reads a byte more than that."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        headers = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]])
        query = scope["query_string"].decode("latin-1")
        target = scope["raw_path"].decode("ascii") + (f"?{query}" if query else "")
        remote = scope["client"][0] if scope["client"] else ""
        request = HttpRequest(target, headers, remote, scope["method"], secure=scope["scheme"] == "https")
        if acceptor.wants_body(request):
            request.body = await _body(receive, max_body)
        decision = acceptor.accept(request)
        assert isinstance(decision, Response), "it asks for no upgrade"
        fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in decision.headers.items()]
        fields.append((b"content-length", str(len(decision.body)).encode()))
        await send({"type": "http.response.start", "status": decision.status, "headers": fields})
        await send({"type": "http.response.body", "body": decision.body})

    return answer


async def _body(receive: Any, max_body: int) -> bytes:
    body, more = b"", True
    while more and len(body) <= max_body:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body
