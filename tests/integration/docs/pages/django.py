"""docs/django.md: a project that has what the page leaves out, its server, its pages and its tests."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from crosswire import Client
from crosswire.testing import connect
from tests.integration.docs.django_project import SETTINGS, make_project
from tests.integration.docs.page import Page, started
from tests.support.aio import wait_until
from tests.support.running_program import RunningProgram

_URLS = """
from django.urls import path
from chat import views
urlpatterns = [path("messages", views.say)]
"""


async def run(page: Page) -> None:
    page.save(next(block for block in page.blocks if block.file_name == "chat/views.py"))  # the addresses need it
    cookie = make_project(page, {"mysite/settings.py": SETTINGS + page.take("Settings").text, "mysite/urls.py": _URLS})
    with page.redis("10.0.0.1"):
        await page.run("The server")
        with page.commands(page.take("Serving")) as served:
            await _say(served, cookie, 9000)
        with page.commands(page.take("Serving")) as served:
            await _say(served, cookie, 8000)
            await _post_to("http://127.0.0.1:8000", cookie)
        page.save(page.take("Serving", "python"))
        with page.commands(page.take("Serving")) as served:
            await _say(served, cookie, 8000, r"Uvicorn running on")
            await _post_to("http://127.0.0.1:8000", cookie)
        await page.run("Who is it", "The database", "Sending from views, signals and tasks")
        await _handle(page, cookie)
        await _post(page, cookie)
        await page.run("Logging out")
        await _log_out(page, cookie)
    for block in [page.take("Tests", "python") for _ in range(3)]:
        page.save(block)
    await page.run("Tests")


async def _say(served: RunningProgram, cookie: str, port: int, listening: str = "crosswire.serve: listening") -> None:
    """Say something to the server in its processes."""
    served.wait_for(listening)
    heard: list[Any] = []
    client = Client(f"ws://127.0.0.1:{port}", headers={"Cookie": cookie})
    client.on("said", heard.append)
    async with client:
        client.send("say", "hello")
        await wait_until(lambda: heard == [{"user": "1", "text": "hello"}], timeout=10)


async def _post_to(address: str, cookie: str) -> None:
    """Post to the view of the page, where it is served with the WebSockets."""
    async with httpx.AsyncClient(base_url=address, headers={"Cookie": cookie}) as http:
        answer = await http.post("/messages", data={"text": "over HTTP"})
        assert answer.status_code == httpx.codes.CREATED


async def _handle(page: Page, cookie: str) -> None:
    """Use the handlers that the page adds to its server."""
    async with connect(page["staff_server"], "/", {"Cookie": cookie}), connect(page["staff_server"]) as stranger:
        assert await stranger.closed() == (4011, "staff only")
    async with connect(page["server"], "/", {"Cookie": cookie}) as client:
        assert await client.call("rename", "Ada") == 1
        client.send("say", "hello again")
        assert (await client.receive("said")).data["text"] == "hello again"


async def _post(page: Page, cookie: str) -> None:
    """Post to the view of the page, and hear what it sends."""
    from django.test import AsyncClient

    browser = AsyncClient()
    browser.cookies.load(cookie)
    async with started(page["server"]), connect(page["server"], "/", {"Cookie": cookie}) as client:
        answer = await browser.post("/messages", {"text": "posted"})
        assert answer.status_code == httpx.codes.CREATED
        assert (await client.receive("said")).data == {"user": "1", "text": "posted"}


async def _log_out(page: Page, cookie: str) -> None:
    """Log out, as the view of Django does."""
    from django.test import Client as Browser

    browser = Browser()
    browser.cookies.load(cookie)
    async with started(page["server"]), connect(page["server"], "/", {"Cookie": cookie}) as client:
        await asyncio.to_thread(browser.logout)
        assert await client.closed() == (4010, "logged out")
