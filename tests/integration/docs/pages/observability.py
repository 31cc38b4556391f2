"""docs/observability.md: metrics are served, by the server itself and by an ASGI server."""

from __future__ import annotations

import httpx

from tests.integration.docs.page import Page, started


async def run(page: Page) -> None:
    await page.run("Metrics")
    async with started(page["server"]), httpx.AsyncClient() as http:
        assert "crosswire_connections{" in (await http.get("http://localhost:9000/metrics")).text
    await page.run("Several processes on one port")
    await page.run("On another port, behind a login, in your registry")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(page["metrics"])) as http:
        assert "crosswire_connections{" in (await http.get("http://localhost:9100/")).text
