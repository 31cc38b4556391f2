"""Spans of clients, servers and nodes, joined over real sockets and a real Redis."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from crosswire import Client, ConfigError, EventError, MemoryBus, Node, Redis, Server, Socket
from crosswire.integrations.otel import instrument
from crosswire.testing import EventClient, connect
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.support import running
from tests.support.aio import wait_until

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Tracing:
    """A provider of spans, and the spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    async def named(self, name: str) -> ReadableSpan:
        """Wait until a span of that name has ended, and return it; there must be one."""
        await wait_until(lambda: name in [span.name for span in self.spans])
        (span,) = [span for span in self.spans if span.name == name]
        return span


@pytest.fixture
def tracing() -> Iterator[Tracing]:
    tracing = Tracing()
    yield tracing
    tracing.provider.shutdown()


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    trace_id: int = span.context.trace_id
    return trace_id


def is_child(child: ReadableSpan, parent: ReadableSpan) -> bool:
    return child.parent is not None and parent.context is not None and child.parent.span_id == parent.context.span_id


@asynccontextmanager
async def serving(server: Server, tracing: Tracing) -> AsyncIterator[EventClient]:
    """Instrument and start a server, and connect a client that does not trace."""
    instrument(server, tracer_provider=tracing.provider)
    async with connect(server) as client:
        yield client


async def test_one_trace_leads_from_a_client_over_its_server_to_another_node_and_back_to_the_client(
    tracing: Tracing, redis_process: RedisProcess
) -> None:
    redis = Redis(redis_process.url, prefix=f"{secrets.token_hex(4)}:")
    server, worker = Server("web", port=0, redis=redis), Node("worker", redis=redis)

    @server.on("order")
    async def order(socket: Socket, number: int) -> Any:
        await socket.call("confirm", number)
        return await server.cluster.call("worker", "price", number)

    @worker.on("price")
    def price(sender: str, number: int) -> int:
        worker.send("noted", number, to="web")
        return 3 * number

    server.cluster.on("noted", lambda _sender, _data: None)
    for member in (server, worker):
        instrument(member, tracer_provider=tracing.provider)
    async with server, worker:
        await wait_until(lambda: "worker" in server.cluster.nodes and "web" in worker.nodes)
        client = Client(f"ws://127.0.0.1:{server.port}")
        client.on("confirm", lambda _number: True)
        instrument(client, tracer_provider=tracing.provider)
        async with client:
            assert await client.call("order", 4) == 12
    called, handled = await tracing.named("call order"), await tracing.named("process order")
    asked, priced = await tracing.named("call price"), await tracing.named("process price")
    confirming, confirmed = await tracing.named("call confirm"), await tracing.named("process confirm")
    noted = await tracing.named("process noted")
    assert called.parent is None
    for parent, child in (
        *((called, handled), (handled, asked), (asked, priced), (priced, noted)),
        *((handled, confirming), (confirming, confirmed)),
    ):
        assert is_child(child, parent), f"{child.name} in {parent.name}"
    assert len({trace_of(span) for span in tracing.spans}) == 1
    assert (called.kind, handled.kind, noted.kind) == (SpanKind.CLIENT, SpanKind.SERVER, SpanKind.CONSUMER)
    assert dict(asked.attributes or {}) == {
        "messaging.system": "crosswire",
        "messaging.destination.name": "price",
        "messaging.operation.type": "send",
        "messaging.operation.name": "call",
        "crosswire.peer": "worker",
    }


async def test_a_message_of_any_client_joins_its_trace_and_another_begins_one(tracing: Tracing) -> None:
    server = Server(port=0)
    seen: list[str] = []

    @server.on("say")
    def say(socket: Socket) -> None:
        seen.append(format(trace.get_current_span().get_span_context().trace_id, "032x"))

    async with serving(server, tracing) as client:
        for parent in (PARENT, None, "nonsense", "00-" + "0" * 600, 7):
            more = {} if parent is None else {"traceparent": parent}
            client.peer.send_text(json.dumps({"event": "say", **more}))
        client.peer.send_text('{"event": "say", "traceparent"')
        await wait_until(lambda: len(seen) == 5)
    assert seen[0] == PARENT.split("-")[1]
    assert len(set(seen)) == 5


async def test_a_span_lasts_until_its_asynchronous_handlers_have_ended(tracing: Tracing) -> None:
    server, go = Server(port=0), asyncio.Event()

    async def slow(socket: Socket) -> int:
        with trace.get_tracer("mine", tracer_provider=tracing.provider).start_as_current_span("mine"):
            await go.wait()
        return 1

    server.on("say", slow)
    server.on("say", lambda socket: None)
    async with serving(server, tracing) as client:
        answer = asyncio.create_task(client.call("say"))
        await asyncio.sleep(0)
        assert tracing.spans == ()
        go.set()
        assert await answer == 1
        handled, mine = await tracing.named("process say"), await tracing.named("mine")
        assert is_child(mine, handled)


async def test_exceptions_are_recorded_and_refusals_named(tracing: Tracing) -> None:
    server = Server(port=0)

    @server.on("fail")
    def fail(socket: Socket) -> None:
        raise ValueError("sesame")

    @server.on("fail later")
    async def fail_later(socket: Socket) -> None:
        await asyncio.sleep(0)
        raise ValueError("sesame")

    @server.on("refuse")
    async def refuse(socket: Socket) -> None:
        raise EventError("full", "no")

    async with serving(server, tracing) as client:
        for event in ("fail", "fail later", "refuse"):
            with pytest.raises(EventError):
                await client.call(event)
        for event in ("fail", "fail later"):
            span = await tracing.named(f"process {event}")
            assert span.status.status_code is StatusCode.ERROR
            assert [each.name for each in span.events] == ["exception"]
        refused = await tracing.named("process refuse")
        assert (refused.attributes or {})["crosswire.refusal"] == "full"
        assert refused.status.status_code is StatusCode.UNSET


async def test_handlers_of_one_connection_do_not_inherit_each_others_spans(tracing: Tracing) -> None:
    server = Server(port=0)
    server.on("first", lambda socket: None)
    server.on("second", lambda socket: None)
    async with serving(server, tracing) as client:
        await client.call("first")
        await client.call("second")
        first, second = await tracing.named("process first"), await tracing.named("process second")
    assert first.parent is None
    assert second.parent is None
    assert trace_of(first) != trace_of(second)


async def test_a_node_that_asks_itself_and_several_stays_in_the_trace(tracing: Tracing) -> None:
    bus = MemoryBus()
    one, two = Node("one", bus=bus), Node("two", bus=bus)
    for node in (one, two):
        instrument(node, tracer_provider=tracing.provider)
        node.on("ask", lambda _sender: 1)
        node.on("tell", lambda _sender: None)
        node.on("list", lambda _sender: 1)
    async with running(one, two):
        with trace.get_tracer("mine", tracer_provider=tracing.provider).start_as_current_span("mine"):
            assert len(await one.gather("ask")) == 2
            one.send("tell")
            assert len([reply async for reply in one.stream("list")]) == 2
        await wait_until(lambda: len(tracing.spans) == 8)
    mine, gathered = await tracing.named("mine"), await tracing.named("gather ask")
    assert is_child(gathered, mine)
    parents = {"process ask": gathered, "process tell": mine, "process list": mine}
    for span in tracing.spans:
        assert span.name not in parents or is_child(span, parents[span.name]), span.name


async def test_what_is_not_instrumented_sends_no_traceparent(tracing: Tracing) -> None:
    server, received = Server(port=0), list[str | bytes]()
    server.on_message(lambda _socket, raw: received.append(raw))
    server.on("say", lambda socket: None)
    async with server:
        with trace.get_tracer("mine", tracer_provider=tracing.provider).start_as_current_span("mine"):
            async with Client(f"ws://127.0.0.1:{server.port}") as plain:
                await plain.call("say")
            traced = Client(f"ws://127.0.0.1:{server.port}")
            instrument(traced, tracer_provider=tracing.provider)
            async with traced:
                traced.send("say")
                await traced.call("say")
    messages = [json.loads(raw) for raw in received]
    assert [set(each) - {"event", "payload", "callbackId"} for each in messages] == [
        set(),
        {"traceparent"},
        {"traceparent"},
    ]


async def test_what_runs_can_not_be_instrumented(tracing: Tracing) -> None:
    async with Server(port=0) as server, Node() as node:
        for member in (server, node):
            with pytest.raises(ConfigError, match="runs already"):
                instrument(member)
    client = Client("ws://127.0.0.1:1")
    instrument(client)
    with pytest.raises(ConfigError, match="instrument it once"):
        instrument(client)


def test_without_the_library_the_extra_is_named() -> None:
    script = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "try:\n    import crosswire.integrations.otel\nexcept Exception as error:\n    print(repr(error))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert "ConfigError" in done.stdout
    assert "pip install 'crosswire[otel]'" in done.stdout
