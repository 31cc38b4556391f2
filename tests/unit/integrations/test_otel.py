from __future__ import annotations

import inspect
from typing import Any, cast

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from crosswire import integrations
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.original import OriginalDialect
from crosswire.core import messages
from crosswire.core.codecs import JSON, MSGPACK
from crosswire.integrations import otel, prometheus
from crosswire.integrations.otel.node_tracing import NodeTracing
from crosswire.integrations.otel.server_tracing import _traceparent_of
from crosswire.integrations.otel.spans import Spans, context_of, current_traceparent

PLACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_the_dialect_of_original_servers_carries_no_place_in_a_trace() -> None:
    tracing = NodeTracing(Spans(TracerProvider()))
    original = OriginalDialect.__new__(OriginalDialect)  # it is only looked at
    native = NativeDialect.__new__(NativeDialect)
    assert tracing.dialect(original) is original
    assert tracing.dialect(native) is not cast(Any, native)


@pytest.mark.parametrize("codec", [JSON, MSGPACK])
def test_the_place_of_a_message_is_read_and_anything_else_is_none(codec: Any) -> None:
    def place_in(message: Any) -> str | None:
        data = codec.encode(message)
        return _traceparent_of(codec, data if codec.binary else data.decode())

    assert place_in(messages.traced(messages.event("say", 1), PLACE)) == PLACE
    assert place_in(messages.traced(messages.client_call("say", 1, "x"), PLACE)) == PLACE
    assert place_in(messages.event("say", {"traceparent": PLACE})) is None
    assert place_in({"event": "say", "traceparent": 7}) is None


def test_an_answer_has_no_place() -> None:
    answer = messages.answer("x", 1)
    assert messages.traced(answer, PLACE) is answer


@pytest.mark.parametrize("place", [None, "", "nonsense", PLACE.replace("0af", "xyz"), "00-" + "0" * 32 + PLACE[35:]])
def test_what_is_no_place_begins_a_trace(place: str | None) -> None:
    assert not trace.get_current_span(context_of(place)).get_span_context().is_valid


def test_a_place_is_that_of_the_current_span() -> None:
    assert current_traceparent() is None
    with trace.use_span(trace.get_current_span(context_of(PLACE))):
        assert current_traceparent() == PLACE


@pytest.mark.parametrize("module", [otel, prometheus])
def test_public_names_are_documented(module: Any) -> None:
    assert module.__name__.startswith(integrations.__name__)
    for name in module.__all__:
        assert "Raises:" in (inspect.getdoc(getattr(module, name)) or ""), name
