"""README.md: a server and its clients, each in a process of its own; two servers and two Redis."""

from __future__ import annotations

from crosswire import Node
from tests.integration.docs.page import Page, started
from tests.integration.docs.proxy import tls_proxy

_TYPES = """
import { Client } from "crosswire-client";
interface ServerEvents { said: { text: string } }
interface ClientEvents { say(data: { room: string; text: string }): { heard: boolean } }
"""
_LISTENING = r"listening on"


async def run(page: Page) -> None:
    server_block = page.take("A server")
    page.save(server_block, "chat.py")
    await page.run_block(server_block)
    with page.program("python", "chat.py") as server:
        server.wait_for(_LISTENING)
        page.save(page.take("A client", "python"), "client.py")
        assert await page.shell("python client.py") == (0, "{'heard': True}\n")
        async with tls_proxy(page.directory, page.environment):
            script = page.take("A client", "ts")
            assert await page.run_script(script, before=_TYPES, after="await client.close();") == "{ heard: true }\n"
        assert server.interrupt() == 0
    await _run_many_servers(page)


async def _run_many_servers(page: Page) -> None:
    server, calls = page.take("Many servers"), page.take("Many servers")
    with page.redis("10.0.0.1", "10.0.0.2"):
        await page.run_block(server)
        other = Node("serverB", redis=["redis://10.0.0.1:6379", "redis://10.0.0.2:6379"])
        other.on("price", page["price"])
        async with started(other, page["server"]):
            await page.run_block(calls)
