"""docs/observability.md: metrics are served, by the server itself and by an ASGI server; a page begins a trace."""

from __future__ import annotations

import httpx
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from crosswire import Server
from tests.integration.docs.page import Page, started


async def run(page: Page) -> None:
    await page.run("Metrics")
    async with started(page["server"]), httpx.AsyncClient() as http:
        assert "crosswire_connections{" in (await http.get("http://localhost:9000/metrics")).text
    await page.run("Several processes on one port")
    await page.run("On another port, behind a login, in your registry")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(page["metrics"])) as http:
        assert "crosswire_connections{" in (await http.get("http://localhost:9100/")).text
    await page.run("Grafana")
    await _traces(page)


async def _traces(page: Page) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    for language in ("sh", "python"):
        await page.run_block(page.take("Traces", language))
    server: Server = page["server"]
    server.on("say", lambda socket: "hello")
    async with started(server):
        calls = 'await client.connect();\nconsole.log(await client.call("say"));\nawait client.close();\n'
        assert "hello" in await page.run_script(page.take("Traces", "ts"), after=calls)
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.parent is not None and span.parent.is_remote) == ("process say", True)
