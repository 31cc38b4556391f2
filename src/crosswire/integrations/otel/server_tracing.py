"""Traces of a server: handlers of clients' events, and calls to clients."""

from __future__ import annotations

from typing import Any

import msgspec

from crosswire.core.codecs import JSON, Codec
from crosswire.core.formats import Encoded
from crosswire.core.messages import traced
from crosswire.core.payload_types import PayloadType
from crosswire.core.traceparents import incoming
from crosswire.errors import InvalidMessage
from crosswire.integrations.otel.spans import Spans, current_traceparent, traceparent_of
from crosswire.integrations.otel.traced_answering import TracedAnswering
from crosswire.server.client_calls import CallableClient, ClientCalling, PendingClientRequest
from crosswire.server.router import MessageRouter
from crosswire.server.session_view import SessionView


class ServerTracing:
    """Traces one server; a ``ServerObserver``.

    Args:
        spans: makes the spans.

    Attributes:
        answering: traces the handling of events.
    """

    __slots__ = ("_spans", "answering")

    def __init__(self, spans: Spans) -> None:
        self._spans = spans
        self.answering = TracedAnswering(spans)

    def router(self, router: MessageRouter) -> MessageRouter:
        """Return a router that reads the place of messages in their traces; see ``ServerObserver``."""
        return _TracedRouter(router)

    def client_calls(self, calls: ClientCalling) -> ClientCalling:
        """Return calls that are spans; see ``ServerObserver``."""
        return _TracedClientCalls(calls, self._spans)


class _TracedRouter:
    """Router that reads the ``traceparent`` of each message."""

    __slots__ = ("_router",)

    def __init__(self, router: MessageRouter) -> None:
        self._router = router

    def receive(self, session: SessionView, codec: Codec, data: str | bytes) -> bool:
        with incoming(_traceparent_of(codec, data)):
            return self._router.receive(session, codec, data)

    def receive_text(self, session: SessionView, text: str) -> bool:
        return self.receive(session, JSON, text)

    def refused(self, session: SessionView, codec: Codec, data: str | bytes) -> bool:
        return self._router.refused(session, codec, data)

    def answered(self, session: SessionView, codec: Codec, data: str | bytes) -> bool:
        return self._router.answered(session, codec, data)


class _TracedClientCalls:
    """Calls single clients, each in a span of its own."""

    __slots__ = ("_calls", "_spans")

    def __init__(self, calls: ClientCalling, spans: Spans) -> None:
        self._calls = calls
        self._spans = spans

    async def call(self, client: CallableClient, event: str, data: Any, timeout: float, kind: PayloadType) -> Any:
        with self._spans.asking("call", event):
            return await self._calls.call(_TracedClient(client), event, data, timeout, kind)


class _TracedClient:
    """A client whose calls carry their place in the trace."""

    __slots__ = ("_client", "user")

    def __init__(self, client: CallableClient) -> None:
        self._client = client
        self.user = client.user

    def encode(self, message: msgspec.Struct, /) -> Encoded:
        traceparent = current_traceparent()
        return self._client.encode(message if traceparent is None else traced(message, traceparent))

    def expect(self, call_id: str, waiter: PendingClientRequest) -> None:
        self._client.expect(call_id, waiter)

    def send_encoded(self, encoded: Encoded) -> None:
        self._client.send_encoded(encoded)

    def forget(self, call_id: str) -> PendingClientRequest | None:
        return self._client.forget(call_id)


def _traceparent_of(codec: Codec, data: str | bytes) -> str | None:
    """Return the ``traceparent`` of a message; None if it has none, or can't be read."""
    if ("traceparent" not in data) if isinstance(data, str) else (b"traceparent" not in data):
        return None
    try:
        return traceparent_of(codec.decode(data), codec)
    except InvalidMessage:
        return None  # the router refuses it
