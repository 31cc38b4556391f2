"""examples/nginx: its two servers; test_nginx.py has nginx in front of them."""

from __future__ import annotations

import asyncio
import shutil

from crosswire import Client
from tests.integration.docs.blocks import ROOT
from tests.integration.docs.page import Page

_SECTION = "Behind nginx: TLS, a path, no sticky sessions"


async def run(page: Page) -> None:
    shutil.copytree(ROOT / "examples" / "nginx", page.directory, dirs_exist_ok=True)
    first, second = page.take(_SECTION), page.take(_SECTION)
    with page.redis("127.0.0.1"), page.commands(first) as a, page.commands(second) as b:
        for each in (a, b):
            each.wait_for("listening on")
        async with Client("ws://127.0.0.1:9001/ws?id=13") as here, Client("ws://127.0.0.1:9002/ws?id=14") as there:
            assert (await here.call("where"))["server"] == "chat-a-1"
            heard = asyncio.get_running_loop().create_future()
            there.on("said", heard.set_result)
            here.send("say", "hello")
            assert await asyncio.wait_for(heard, 10) == {"user": "13", "text": "hello"}
