"""docs/one-port.md: an application and a server on one port, alone and with workers."""

from __future__ import annotations

import asyncio
import signal

import httpx
import pytest
import websockets

from crosswire import Client, Server
from tests.integration.docs.page import Page, started

_TITLE = "One port for HTTP and WebSockets"
_NOTICES = "http://127.0.0.1:8000/rooms/1000/notices"


async def run(page: Page) -> None:
    await page.run_block(page.take(_TITLE, "sh"))
    await page.run_block(page.take(_TITLE, "python"))
    server: Server = page["server"]
    async with started(server), Client("ws://127.0.0.1:8000/ws", params={"id": "13"}) as client:
        notices = await _notices_of_room(client)
        await page.run_block(page.take(_TITLE, "sh"))
        assert await asyncio.wait_for(notices.get(), 20) == {"text": "hello"}
        with pytest.raises(websockets.InvalidStatus, match="401"):
            await websockets.connect("ws://127.0.0.1:8000/ws")
    section = "In several processes"
    for _ in range(2):
        page.save(page.take(section, "python"))
    with page.redis("10.0.0.1"), page.commands(page.take(section, "sh")) as workers:
        await asyncio.to_thread(workers.wait_for, "listening on port 8000: chat-1, chat-2, chat-3, chat-4", 60)
        async with Client("ws://127.0.0.1:8000/ws") as client, httpx.AsyncClient(trust_env=False) as http:
            notices = await _notices_of_room(client)
            for number in range(8):
                answer = await http.post(_NOTICES, params={"text": str(number)})
                assert answer.json() == {"sent": True}
                assert await asyncio.wait_for(notices.get(), 20) == {"text": str(number)}
        workers.signal(signal.SIGTERM)
        assert await asyncio.to_thread(workers.wait) == 0


async def _notices_of_room(client: Client) -> asyncio.Queue[object]:
    """Enter the room, and return its notices from now on."""
    notices: asyncio.Queue[object] = asyncio.Queue()
    client.on("notice", notices.put_nowait)
    await client.call("enter", "1000")
    return notices
