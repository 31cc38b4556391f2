"""examples/publish: its server, and curl as one of the programs that send to it."""

from __future__ import annotations

import json
import shutil

import websockets

from tests.integration.docs.blocks import ROOT
from tests.integration.docs.page import Page

_SECTION = "Sending from other programs, over HTTP"


async def run(page: Page) -> None:
    shutil.copytree(ROOT / "examples" / "publish", page.directory, dirs_exist_ok=True)
    with page.commands(page.take(_SECTION)) as server:
        server.wait_for("listening on")
        async with websockets.connect("ws://127.0.0.1:9000/?id=13") as client:
            await page.run(_SECTION)
            assert json.loads(await client.recv()) == {"event": "news", "payload": {"text": "größer"}}
