"""Answers HTTP scopes by an acceptor."""

from __future__ import annotations

from typing import Any

from crosswire.core.headers import Headers
from crosswire.transport.interface import Acceptor, AsgiApplication, HttpRequest, Response


def answer_by(acceptor: Acceptor) -> AsgiApplication:
    """Return an application that answers every request by the acceptor."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        headers = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]])
        query = scope["query_string"].decode("latin-1")
        target = scope["raw_path"].decode("ascii") + (f"?{query}" if query else "")
        remote = scope["client"][0] if scope["client"] else ""
        request = HttpRequest(target, headers, remote, scope["method"], secure=scope["scheme"] == "https")
        decision = acceptor.accept(request)
        assert isinstance(decision, Response), "it asks for no upgrade"
        fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in decision.headers.items()]
        fields.append((b"content-length", str(len(decision.body)).encode()))
        await send({"type": "http.response.start", "status": decision.status, "headers": fields})
        await send({"type": "http.response.body", "body": decision.body})

    return answer
