"""examples/fastapi_jwt: somebody logs in with curl, and writes to whoever has a page open."""

from __future__ import annotations

import asyncio
import shutil

from crosswire import Client
from tests.integration.docs.blocks import ROOT
from tests.integration.docs.page import Page
from tests.integration.docs.proxy import tls_proxy

_SECTION = "FastAPI with a JWT"
_TOKEN = """import json, main; print(main.log_in("basho", "secret")["access_token"])"""
_BEFORE = """
import {{ Client }} from "crosswire-client";
const freshToken = async () => "{token}";
const show = (from: string, text: string) => console.log(from, text);
"""


async def run(page: Page) -> None:
    shutil.copytree(ROOT / "examples" / "fastapi_jwt", page.directory, dirs_exist_ok=True)
    with page.commands(page.take(_SECTION)) as server:
        await asyncio.to_thread(server.wait_for, "Uvicorn running", 60)
        code, token = await page.shell(f"python -c '{_TOKEN}'")
        assert code == 0, token
        async with Client("ws://localhost:8000/ws", params={"token": token.strip()}) as client:
            messages: asyncio.Queue[object] = asyncio.Queue()
            client.on("message", messages.put_nowait)
            await page.run_block(page.take(_SECTION, "sh"))
            assert await asyncio.wait_for(messages.get(), 20) == {"from": "ada", "text": "hello"}
        async with tls_proxy(page.directory, page.environment, port=8000):
            script = page.take(_SECTION, "ts")
            await page.run_script(script, before=_BEFORE.format(token=token.strip()), after="await client.close();")
        assert server.interrupt() == 0
