"""docs/from-socketio.md: the ported server, another program that sends to its users, and a client in TypeScript."""

from __future__ import annotations

import asyncio

from crosswire import Server
from crosswire.testing import connect
from tests.integration.docs.page import Page, started
from tests.integration.docs.proxy import tls_proxy

_BEFORE = """
const token = "secret";
const show = (text: string) => console.log(text);
"""
_AFTER = """
console.log(answer.heard);
await client.close();
"""


async def run(page: Page) -> None:
    with page.redis("10.0.0.1"):
        await page.run("A server, before and after", "From other processes")
        server: Server = page["server"]
        async with started(server), tls_proxy(page.directory, page.environment):
            async with connect(server, "/?token=wrong") as stranger:
                assert (await stranger.closed()) == (4011, "Auth failure")
            async with connect(server, "/?token=secret") as client, connect(server, "/?token=secret") as other_tab:
                for each in (client, other_tab):
                    assert await each.call("say", {"room": "1000", "text": "hello"}) == {"heard": True}
                assert (await client.receive("said")).data == {"from": "13", "text": "hello"}
                await asyncio.to_thread(page["report"], 40)
                assert (await client.receive("progress")).data == {"percent": 40}
            printed = await page.run_script(page.take("The client", "ts"), before=_BEFORE, after=_AFTER)
            answered, closed = printed.splitlines()
            assert answered == "true"
            assert closed.startswith("4001 ")
