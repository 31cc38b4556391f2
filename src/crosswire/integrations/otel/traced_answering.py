"""A span for each event that is handled, from its first handler to the end of its last one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context as SpanContext
from opentelemetry.trace import Span, Status, StatusCode

from crosswire.core.codecs import Codec
from crosswire.core.decoded_calls import DecodedCall
from crosswire.core.listeners import Listener
from crosswire.core.payload_types import RawPayload
from crosswire.core.traceparents import TRACEPARENT
from crosswire.errors import EventError
from crosswire.integrations.otel.spans import Spans
from crosswire.runtime.answering import Callers, EventHandling
from crosswire.runtime.handler_counts import HandlerCount


class TracedAnswerer:
    """Answerer that makes a span for each event.

    Args:
        answerer: calls the handlers.
        spans: makes the spans.
    """

    __slots__ = ("_answerer", "_spans")

    def __init__(self, answerer: EventHandling[Any, Any], spans: Spans) -> None:
        self._answerer = answerer
        self._spans = spans

    def handle(
        self,
        name: str,
        listeners: tuple[Listener, ...],
        subject: object,
        codec: Codec,
        payload: RawPayload,
        sender: Any,
        call: Any,
        count: HandlerCount,
        /,
    ) -> bool:
        """Call the handlers of an event; see :meth:`crosswire.runtime.answering.Answerer.handle`."""
        return self._traced(
            name,
            call,
            count,
            lambda traced: self._answerer.handle(name, listeners, subject, codec, payload, sender, call, traced),
        )

    def handle_sole(
        self,
        name: str,
        listener: Listener,
        call_handler: DecodedCall,
        subject: object,
        payload: RawPayload,
        sender: Any,
        call: Any,
        count: HandlerCount,
        /,
    ) -> bool:
        """Call the only handler of an event; see :meth:`crosswire.runtime.answering.Answerer.handle_sole`."""
        return self._traced(
            name,
            call,
            count,
            lambda traced: self._answerer.handle_sole(
                name, listener, call_handler, subject, payload, sender, call, traced
            ),
        )

    def _traced(self, name: str, call: Any, count: HandlerCount, handle: Callable[[_TracedCount], bool]) -> bool:
        """Handle an event in a span, with a count that ends the span; return whether a handler may still be running."""
        span, context = self._spans.start_handling(name, TRACEPARENT.get(), is_call=call is not None)
        token = otel_context.attach(context)
        started = False
        try:
            started = handle(_TracedCount(count, span, context))
        finally:
            otel_context.detach(token)
            if not started:
                span.end()
        return started


class _TracedCount:
    """Count of asynchronous handlers, a :class:`~crosswire.runtime.handler_counts.HandlerCount`, that ends a span.

    Args:
        count: the count itself.
        span: of the event; it ends with its handlers.
        context: in which the handlers run.
    """

    __slots__ = ("_context", "_count", "_span", "task_waits")

    def __init__(self, count: HandlerCount, span: Span, context: SpanContext) -> None:
        self._count = count
        self._span = span
        self._context = context
        self.task_waits = count.task_waits

    @property
    def running(self) -> int:
        """Number of handlers that were started and have not ended."""
        return self._count.running

    @running.setter
    def running(self, number: int) -> None:
        self._count.running = number

    def copy_context(self) -> Context:
        """Return a fresh context for the handlers, in which the span is the current one."""
        context = self._count.copy_context()
        context.run(self._enter)
        return context

    def _enter(self) -> None:
        otel_context.attach(self._context)
        TRACEPARENT.set(None)  # what the handlers do has its own place in the trace

    def job_ended(self, task: asyncio.Task[None] | None) -> None:
        """Count the handlers as ended, and end the span."""
        self._count.job_ended(task)
        self._span.end()

    def job_dropped(self) -> None:
        """Note that the handlers were never begun, and end the span."""
        self._count.job_dropped()
        self._span.end()


class TracedCallers:
    """The :class:`~crosswire.runtime.answering.Callers` of a traced answerer: exceptions are recorded in the span.

    Args:
        callers: send the events, and get the answers.
    """

    __slots__ = ("_callers", "answer", "busy", "refuse")

    def __init__(self, callers: Callers[Any, Any]) -> None:
        self._callers = callers
        self.answer = callers.answer
        self.refuse = callers.refuse
        self.busy = callers.busy

    def report(self, sender: Any, event: str, error: BaseException, *, awaited: bool, is_answer: bool) -> None:
        """Record an exception in the current span, and report it; a refusal is no failure."""
        span = trace.get_current_span()
        if isinstance(error, EventError):
            span.set_attribute("crosswire.refusal", str(error.code))
        elif not isinstance(error, asyncio.CancelledError):
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        self._callers.report(sender, event, error, awaited=awaited, is_answer=is_answer)


class TracedAnswering:
    """An ``AnsweringObserver`` that traces.

    Args:
        spans: makes the spans.
    """

    __slots__ = ("_spans",)

    def __init__(self, spans: Spans) -> None:
        self._spans = spans

    def callers(self, callers: Callers[Any, Any]) -> Callers[Any, Any]:
        """Return callers that record exceptions; see ``AnsweringObserver``."""
        return TracedCallers(callers)

    def answerer(self, answerer: EventHandling[Any, Any]) -> EventHandling[Any, Any]:
        """Return an answerer that makes spans; see ``AnsweringObserver``."""
        return TracedAnswerer(answerer, self._spans)
