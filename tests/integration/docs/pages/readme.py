"""README.md: a server and its clients, each in a process of its own; two servers and two Redis."""

from __future__ import annotations

import asyncio

import httpx
import uvicorn

from crosswire import Client, Node
from tests.integration.docs.page import Page, started
from tests.integration.docs.proxy import tls_proxy
from tests.support.aio import wait_until

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
    await _run_in_an_application(page)


async def _run_many_servers(page: Page) -> None:
    server, calls = page.take("Many servers"), page.take("Many servers")
    with page.redis("10.0.0.1", "10.0.0.2"):
        await page.run_block(server)
        other = Node("serverB", redis=["redis://10.0.0.1:6379", "redis://10.0.0.2:6379"])
        other.on("price", page["price"])
        async with started(other, page["server"]):
            await page.run_block(calls)


async def _run_in_an_application(page: Page) -> None:
    with page.redis("127.0.0.1"):
        await page.run("In the application that is there already")
        application = uvicorn.Server(uvicorn.Config(page["app"], port=8000, log_level="warning"))
        serving = asyncio.create_task(application.serve())
        await wait_until(lambda: application.started, timeout=30)
        async with Client("ws://localhost:8000/chat/") as client, httpx.AsyncClient() as http:
            notices: asyncio.Queue[object] = asyncio.Queue()
            client.on("notice", notices.put_nowait)
            (socket,) = page["server"].sockets
            await page["server"].room("chat", "1000").add(socket.user)
            assert (
                await http.post("http://localhost:8000/rooms/1000/notices", params={"text": "tea"})
            ).status_code == 200
            assert await asyncio.wait_for(notices.get(), 20) == {"text": "tea"}
        application.should_exit = True
        await serving
