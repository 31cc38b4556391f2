"""docs/asgi.md: a server in applications of FastAPI, Starlette, Litestar and Django, each served by its command."""

from __future__ import annotations

import asyncio
import signal

import httpx
import pytest

from crosswire import Client, Refused
from tests.integration.docs.page import Page

_SETTINGS = """
SECRET_KEY = "for tests"
ROOT_URLCONF = "mysite.urls"
ALLOWED_HOSTS = ["*"]
"""
_URLS = "urlpatterns: list[object] = []\n"
_READY = r"Uvicorn running|Started worker-1|Running on"


async def run(page: Page) -> None:
    await _mounted(page)
    own = "With a lifespan of your own"
    page.save(page.take(own, "python"))
    with page.commands(page.take(own, "sh")) as served:
        await asyncio.to_thread(served.wait_for, _READY)
        async with Client("ws://127.0.0.1:8001/chat/"), Client("ws://127.0.0.1:8001/game/"):
            pass
        served.signal(signal.SIGTERM)
        await asyncio.to_thread(served.wait)
    (page.directory / "mysite").mkdir()
    (page.directory / "mysite" / "settings.py").write_text(_SETTINGS)
    (page.directory / "mysite" / "urls.py").write_text(_URLS)
    for url in ("ws://127.0.0.1:8002/chat/", "ws://127.0.0.1:8003/"):
        page.save(page.take(own, "python"))
        with page.commands(page.take(own, "sh")) as served:
            await asyncio.to_thread(served.wait_for, _READY)
            async with Client(url):
                pass
            if "8003" in url:
                async with httpx.AsyncClient(trust_env=False) as http:
                    assert (await http.get("http://127.0.0.1:8003/")).status_code == httpx.codes.NOT_FOUND
            served.signal(signal.SIGTERM)
            await asyncio.to_thread(served.wait)
    await _route(page)


async def _mounted(page: Page) -> None:
    page.save(page.take("Mounted", "python"))
    with page.commands(page.take("Mounted", "sh")) as served:
        await asyncio.to_thread(served.wait_for, _READY)
        notices: asyncio.Queue[object] = asyncio.Queue()
        async with Client("ws://127.0.0.1:8000/chat/", params={"id": "13"}) as client:
            client.on("notice", notices.put_nowait)
            await client.call("enter", "1000")
            async with httpx.AsyncClient(trust_env=False) as http:
                await http.post("http://127.0.0.1:8000/rooms/1000/notices", params={"text": "hello"})
            assert await asyncio.wait_for(notices.get(), 20) == {"text": "hello"}
        with pytest.raises(Refused) as refused:
            await Client("ws://127.0.0.1:8000/chat/").connect()
        assert refused.value.status == httpx.codes.UNAUTHORIZED
        served.signal(signal.SIGTERM)
        await asyncio.to_thread(served.wait)


async def _route(page: Page) -> None:
    page.save(page.take("From a route", "python"))
    with page.commands(page.take("From a route", "sh")) as served:
        await asyncio.to_thread(served.wait_for, _READY)
        async with Client("ws://127.0.0.1:8004/ws", params={"token": "of Anna"}) as client:
            assert await client.call("whoami") == "anna"
        with pytest.raises(Refused) as refused:
            await Client("ws://127.0.0.1:8004/ws", params={"token": "of Eve"}).connect()
        assert refused.value.status == httpx.codes.FORBIDDEN
        served.signal(signal.SIGTERM)
        await asyncio.to_thread(served.wait)
