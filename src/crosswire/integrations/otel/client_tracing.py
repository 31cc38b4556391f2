"""Traces of a client: its calls, and its handlers of the server's events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crosswire.client.calls import Calling, Pending
from crosswire.client.router import MessageRouter, Reply
from crosswire.core.codecs import Codec
from crosswire.core.messages import Message
from crosswire.core.payload_types import PayloadType
from crosswire.core.traceparents import incoming
from crosswire.integrations.otel.spans import Spans, current_traceparent, traceparent_of
from crosswire.integrations.otel.traced_answering import TracedAnswering


class ClientTracing:
    """Traces one client; a ``ClientObserver``.

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
        """Return a router that reads the place of messages in their traces; see ``ClientObserver``."""
        return _TracedRouter(router)

    def calls(self, calls: Calling) -> Calling:
        """Return calls that are spans; see ``ClientObserver``."""
        return _TracedCalls(calls, self._spans)

    def traceparent(self) -> str | None:
        """Return the place of the current span in its trace; see ``ClientObserver``."""
        return current_traceparent()


class _TracedRouter:
    """Router that hands on the ``traceparent`` of each message."""

    __slots__ = ("_router",)

    def __init__(self, router: MessageRouter) -> None:
        self._router = router

    def receive(self, message: Message, codec: Codec, reply: Reply) -> None:
        with incoming(traceparent_of(message, codec)):
            self._router.receive(message, codec, reply)


class _TracedCalls:
    """Calls a server, each time in a span."""

    __slots__ = ("_calls", "_spans")

    def __init__(self, calls: Calling, spans: Spans) -> None:
        self._calls = calls
        self._spans = spans

    async def call(
        self,
        event: str,
        send: Callable[[str], None],
        timeout: float,
        on_pending: Pending | None,
        pending_after: float,
        kind: PayloadType,
    ) -> Any:
        with self._spans.asking("call", event):
            return await self._calls.call(event, send, timeout, on_pending, pending_after, kind)
