"""Spans of events and calls, with the attributes of the semantic conventions for messaging."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from crosswire.core.codecs import Codec
from crosswire.core.messages import Message
from crosswire.core.payload_types import payload_type
from crosswire.core.traceparents import incoming
from crosswire.errors import InvalidPayload

_TEXT = payload_type(str)
_HEADER = "traceparent"
_MAX_TRACEPARENT = 128
"""Characters of a ``traceparent`` that is looked at; the present version has 55."""
_PROPAGATOR = TraceContextTextMapPropagator()


class Spans:
    """Makes the spans.

    Args:
        tracer_provider: makes them; None for the global one.
    """

    __slots__ = ("_tracer",)

    def __init__(self, tracer_provider: TracerProvider | None) -> None:
        self._tracer = trace.get_tracer("crosswire", version("crosswire"), tracer_provider)

    def start_handling(self, event: str, traceparent: str | None, *, is_call: bool) -> tuple[Span, Context]:
        """Start the span of an event that is handed to its handlers; return it, and the context in which they run.

        Args:
            event: its name.
            traceparent: of the message; the span is the first of a trace if there is none.
            is_call: whether the sender waits for an answer.
        """
        parent = context_of(traceparent)
        kind = SpanKind.SERVER if is_call else SpanKind.CONSUMER
        span = self._tracer.start_span(f"process {event}", parent, kind, _attributes(event, "process"))
        return span, trace.set_span_in_context(span, parent)

    @contextmanager
    def asking(self, operation: str, event: str, peer: str | None = None) -> Iterator[None]:
        """Make the span of a call, for as long as the context lasts; a message that is sent in it carries its place.

        Args:
            operation: "call" or "gather".
            event: the name of the event that is sent.
            peer: the name of the node that is asked.
        """
        attributes = _attributes(event, "send", operation)
        if peer is not None:
            attributes["crosswire.peer"] = peer
        with (
            self._tracer.start_as_current_span(f"{operation} {event}", kind=SpanKind.CLIENT, attributes=attributes),
            incoming(current_traceparent()),  # for a request to this very node, which crosses no network
        ):
            yield


def context_of(traceparent: str | None) -> Context:
    """Return the context that a ``traceparent`` names; an empty one if there is none, or it is invalid."""
    if traceparent is None or len(traceparent) > _MAX_TRACEPARENT:
        return Context()
    return _PROPAGATOR.extract({_HEADER: traceparent}, Context())


def traceparent_of(message: Message, codec: Codec) -> str | None:
    """Return what a peer sent as ``traceparent`` if it is a text of a possible length."""
    raw = message.traceparent
    if not 0 < memoryview(raw).nbytes <= _MAX_TRACEPARENT + 8:
        return None
    try:
        text: str = codec.payload(_TEXT, raw)
    except InvalidPayload:
        return None
    return text


def current_traceparent() -> str | None:
    """Return the ``traceparent`` of the current span; None outside of spans."""
    fields: dict[str, str] = {}
    _PROPAGATOR.inject(fields)
    return fields.get(_HEADER)


def _attributes(event: str, kind: str, operation: str | None = None) -> dict[str, str]:
    return {
        "messaging.system": "crosswire",
        "messaging.destination.name": event,
        "messaging.operation.type": kind,
        "messaging.operation.name": operation or kind,
    }
