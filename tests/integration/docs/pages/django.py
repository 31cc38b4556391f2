"""docs/django.md: a project that has what the page leaves out, its server, its pages and its tests."""

from __future__ import annotations

import os
from typing import Any

import httpx
from django import setup
from django.core.management import call_command

from crosswire import Client
from crosswire.testing import connect
from tests.integration.docs.page import Page, started
from tests.support.aio import wait_until
from tests.support.running_program import RunningProgram

_REST_OF_THE_SETTINGS = """
SECRET_KEY = "of the page"
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "mysite.urls"
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
"""
_FILES = {
    "mysite/__init__.py": "",
    "mysite/urls.py": """
from django.urls import path
from chat import views
urlpatterns = [path("messages", views.say)]
""",
    "mysite/asgi.py": """
import os
from django.core.asgi import get_asgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
application = get_asgi_application()
""",
    "chat/__init__.py": "",
    "chat/models.py": """
from django.conf import settings
from django.db import models

class Message(models.Model):
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    text = models.TextField()
""",
    "manage.py": """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
""",
}


async def run(page: Page) -> None:
    cookie = _make_project(page)
    with page.redis("10.0.0.1"):
        await page.run("The server")
        with page.commands(page.take("Serving")) as served:
            await _say(served, cookie, 9000)
        with page.commands(page.take("Serving")) as served:
            await _say(served, cookie, 8000)
            await _post_to("http://127.0.0.1:8000", cookie)
        await page.run("Who is it", "The database", "Sending from views, signals and tasks")
        await _handle(page, cookie)
        await _post(page, cookie)
    for block in [page.take("Tests", "python") for _ in range(3)]:
        page.save(block)
    await page.run("Tests")


def _make_project(page: Page) -> str:
    """Write the project's other files, set Django up, and return the cookie of a user who is logged in."""
    for name, text in _FILES.items():
        file = page.directory / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    page.save(next(block for block in page.blocks if block.file_name == "chat/views.py"))  # the addresses need it
    settings = page.save(page.take("Settings"))
    settings.write_text(settings.read_text() + _REST_OF_THE_SETTINGS)
    os.environ |= {"DJANGO_SETTINGS_MODULE": "mysite.settings", "DJANGO_ALLOW_ASYNC_UNSAFE": "1"}
    setup()
    call_command("migrate", verbosity=0, run_syncdb=True)

    from django.contrib.auth.models import User
    from django.test import Client as Browser

    browser = Browser()
    browser.force_login(User.objects.create_user("ada", is_staff=True))
    return f"sessionid={browser.cookies['sessionid'].value}"


async def _say(served: RunningProgram, cookie: str, port: int) -> None:
    """Say something to the server in its processes."""
    served.wait_for(rf"INFO crosswire.serve: listening on port {port}")
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
