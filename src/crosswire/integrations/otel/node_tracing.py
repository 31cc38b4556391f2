"""Traces of a node: handlers of nodes' events, calls and gathers, and the places of messages in their traces."""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Iterable
from typing import Any

from crosswire.cluster.gather_request import GatherRequest
from crosswire.cluster.members import Members
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.requester import NodeRequests, RequestDialect
from crosswire.cluster.streams import ReplyStream
from crosswire.core.codecs import Codec
from crosswire.core.payload_types import PayloadType, RawPayload
from crosswire.core.traceparents import incoming
from crosswire.integrations.otel.spans import Spans, current_traceparent
from crosswire.integrations.otel.traced_answering import TracedAnswering
from crosswire.types import Replies


class NodeTracing:
    """Traces one node; a ``NodeObserver``.

    Args:
        spans: makes the spans.

    Attributes:
        answering: traces the handling of events.
    """

    __slots__ = ("_spans", "answering")

    def __init__(self, spans: Spans) -> None:
        self._spans = spans
        self.answering = TracedAnswering(spans)

    def dialect(self, dialect: RequestDialect) -> RequestDialect:
        """Return a dialect that sends the place in the trace; that of the original's servers has no room for it."""
        return _TracedDialect(dialect) if isinstance(dialect, NativeDialect) else dialect

    def requests(self, requests: NodeRequests) -> NodeRequests:
        """Return requests that are spans; see ``NodeObserver``."""
        return _TracedRequests(requests, self._spans)

    def watches(self, requests: NodeRequests, members: Members) -> Iterable[Coroutine[Any, Any, None]]:
        """Return nothing, as tracing runs nothing in the background; see ``NodeObserver``."""
        return ()


class _TracedDialect:
    """Dialect whose events and requests carry the ``traceparent`` of the current span."""

    __slots__ = ("_native", "knows_members")

    codec: Codec = NativeDialect.codec

    def __init__(self, native: NativeDialect) -> None:
        self._native = native
        self.knows_members = native.knows_members

    def pack(self, data: Any) -> RawPayload:
        return self._native.pack(data)

    def send_event(self, to: Collection[str] | None, event: str, payload: RawPayload) -> None:
        self._native.send_event(to, event, payload, current_traceparent())

    def send_request(self, to: Collection[str] | None, event: str, payload: RawPayload, call_id: str) -> None:
        self._native.send_request(to, event, payload, call_id, current_traceparent())

    def send_call(self, name: str, event: str, data: Any, call_id: str) -> None:
        self._native.send_call(name, event, data, call_id, current_traceparent())

    def send_own_answer(self, call_id: str, payload: RawPayload) -> None:
        self._native.send_own_answer(call_id, payload)


class _TracedRequests:
    """The requests of a node: each call and each gather is a span."""

    __slots__ = ("_requests", "_spans")

    def __init__(self, requests: NodeRequests, spans: Spans) -> None:
        self._requests = requests
        self._spans = spans

    async def call(self, name: str, event: str, data: Any, timeout: float, kind: PayloadType) -> Any:
        with self._spans.asking("call", event, name):
            return await self._requests.call(name, event, data, timeout, kind)

    async def gather(self, request: GatherRequest) -> Replies:
        with self._spans.asking("gather", request.event):
            return await self._requests.gather(request)

    def send(self, to: Collection[str] | None, event: str, data: Any, *, include_self: bool) -> None:
        with incoming(current_traceparent()):  # for this node's own handler, which crosses no network
            self._requests.send(to, event, data, include_self=include_self)

    def stream(self, request: GatherRequest) -> ReplyStream:
        with incoming(current_traceparent()):
            return self._requests.stream(request)

    def gather_service(
        self, name: str, data: Any, timeout: float, *, servers: bool = True, to: Collection[str] | None = None
    ) -> Coroutine[Any, Any, Replies]:
        return self._requests.gather_service(name, data, timeout, servers=servers, to=to)

    def ping(self, name: str, timeout: float) -> Coroutine[Any, Any, Replies]:
        return self._requests.ping(name, timeout)
