"""docs/from-channels.md: the ported server in a project, with its pages in one ASGI application, and clients."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from websockets.asyncio.client import connect as connect_websocket

from crosswire import Client, Server, Socket
from tests.integration.docs.django_project import make_project
from tests.integration.docs.page import Page, started
from tests.integration.docs.proxy import tls_proxy
from tests.support.aio import wait_until

_BEFORE = """
const location = { host: "example.com" };
const show = (data: { text: string }) => console.log(data.text);
"""
_AFTER = """
await new Promise((heard) => client.on("said", heard));
await client.close();
"""


async def run(page: Page) -> None:
    cookie = make_project(page)
    page.save(page.take("A consumer, before and after"))
    page.save(page.take("A consumer, before and after"))
    with page.redis("10.0.0.1"):
        await _talk(page, cookie)
    await _run_client(page)


async def _talk(page: Page, cookie: str) -> None:
    """Talk through the ASGI application of the page, and announce something from this process."""
    heard: list[Any] = []
    client = Client("ws://127.0.0.1:8000/ws", headers={"Cookie": cookie})
    client.on("said", heard.append)
    with page.program("uvicorn", "mysite.asgi:application", "--port", "8000") as uvicorn:
        uvicorn.wait_for("Uvicorn running on")
        async with client, httpx.AsyncClient() as http:
            assert (await http.get("http://127.0.0.1:8000/")).status_code == httpx.codes.NOT_FOUND  # Django's answer
            await client.call("join", "lobby")
            client.send("say", {"room": "lobby", "text": "hello"})
            await wait_until(lambda: heard == [{"user": "1", "text": "hello"}], timeout=10)
            await page.run("Sending from views, signals and Celery")
            await asyncio.to_thread(page["announce"], "hello again")
            await wait_until(lambda: heard[1:] == [{"user": "13", "text": "hello again"}], timeout=10)
        uvicorn.interrupt()


async def _run_client(page: Page) -> None:
    """Run the browser's client on Node.js, which has no cookies, and the server for clients that can't be changed."""
    chat = Server(port=9000)

    @chat.on("join")
    async def join(socket: Socket, room: str) -> None:
        await socket.join("chat", room)

    chat.on("say", lambda socket, data: chat.room("chat", data["room"]).send("said", data))
    async with started(chat), tls_proxy(page.directory, page.environment):
        assert await page.run_script(page.take("The client", "ts"), before=_BEFORE, after=_AFTER) == "hello\n"
    await page.run("The client")
    async with started(page["legacy"]), connect_websocket("ws://127.0.0.1:9001") as legacy:
        await legacy.send('{"text": "hello"}')
        assert '"text":"hello"' in str(await legacy.recv())
