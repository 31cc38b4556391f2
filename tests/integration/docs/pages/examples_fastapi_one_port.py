"""examples/fastapi_one_port: its commands."""

from __future__ import annotations

import asyncio
import shutil

import httpx

from crosswire import Client
from tests.integration.docs.blocks import ROOT
from tests.integration.docs.page import Page

_SECTION = "FastAPI and Crosswire on one port, with two workers"


async def run(page: Page) -> None:
    shutil.copytree(ROOT / "examples" / "fastapi_one_port", page.directory / "examples" / "fastapi_one_port")
    with page.commands(page.take(_SECTION)) as workers:
        await asyncio.to_thread(workers.wait_for, "listening on port 8000: live-1, live-2", 60)
        told: asyncio.Queue[object] = asyncio.Queue()
        async with Client("ws://localhost:8000/live", params={"name": "ann"}) as client:
            client.on("comment", told.put_nowait)
            await client.call("read", "tea")
            await page.run(_SECTION)
            assert await asyncio.wait_for(told.get(), 20) == {"author": "curl", "text": "I read too"}
        async with httpx.AsyncClient(trust_env=False) as http:
            assert "<h1" in (await http.get("http://localhost:8000/articles/tea")).text
        workers.interrupt()
