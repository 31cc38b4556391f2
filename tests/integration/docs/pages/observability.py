"""docs/observability.md: metrics are served, by the server itself and by an ASGI server; calls make spans."""

from __future__ import annotations

import httpx
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from crosswire import Server
from tests.integration.docs.page import Page, started
from tests.integration.docs.proxy import tls_proxy

_BEFORE = 'import { Client } from "crosswire-client";'
_AFTER = """
await client.connect();
console.log(await client.call("say"));
await client.close();
"""


async def run(page: Page) -> None:
    await page.run("Metrics")
    async with started(page["server"]), httpx.AsyncClient() as http:
        assert "crosswire_connections{" in (await http.get("http://localhost:9000/metrics")).text
    await page.run("Several processes on one port")
    await page.run("On another port, behind a login, in your registry")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(page["metrics"])) as http:
        assert "crosswire_connections{" in (await http.get("http://localhost:9100/")).text
    await page.run("Grafana")
    await _trace(page)


async def _trace(page: Page) -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    await page.run_block(page.take("Traces", "sh"))
    await page.run_block(page.take("Traces", "python"))
    server: Server = page["server"]
    server.on("say", lambda: "heard")
    async with started(server), tls_proxy(page.directory, page.environment):
        script = page.take("Traces", "ts")
        assert await page.run_script(script, before=_BEFORE, after=_AFTER) == "heard\n"
    assert [span.name for span in spans.get_finished_spans()] == ["process say"]
