"""examples/django_chat: pages, the real-time server and the worker are processes, and talk through a Redis."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from crosswire import Client, Close
from crosswire.testing.redis_process import RedisProcess
from crosswire.testing.reserved_port import ReservedPort
from tests.support import aio
from tests.support.running_program import RunningProgram

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="runcrosswire needs a POSIX system")

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "examples/django_chat"
PASSWORD = "secret"
REALTIME = ("--port", "0", "--workers", "2", "--app", "website.asgi:application")
_SEED = f"""
import django
django.setup()
from django.core.management import call_command
from django.contrib.auth.models import User
call_command("migrate", verbosity=0)
for name in ("ada", "basho"):
    User.objects.create_user(name, password={PASSWORD!r})
"""


class Site(NamedTuple):
    """Addresses of the pages and of the real-time server, and the worker."""

    pages: str
    realtime: str
    worker: RunningProgram


class Visitor:
    """A browser: it logs in on a page, and connects with the cookies that it got there."""

    def __init__(self, site: Site) -> None:
        self._realtime = site.realtime
        self._http = httpx.Client(base_url=site.pages)
        self.heard: list[tuple[str, Any]] = []
        self.closes: list[Close] = []

    def log_in(self, name: str) -> None:
        self._http.get("/login").raise_for_status()
        self.post("/login", 302, username=name, password=PASSWORD)
        assert self._http.get("/").status_code == 200

    def post(self, path: str, status: int, **fields: str) -> httpx.Response:
        token = self._http.cookies["csrftoken"]
        answer = self._http.post(path, data={"csrfmiddlewaretoken": token, **fields})
        assert answer.status_code == status, answer.text
        return answer

    def client(self) -> Client:
        cookie = f"sessionid={self._http.cookies['sessionid']}"
        client = Client(self._realtime, headers={"Cookie": cookie, "Origin": str(self._http.base_url)})
        for event in ("said", "typing", "export", "exported"):
            client.on(event, lambda data, event=event: self.heard.append((event, data)))
        client.on_close(self.closes.append)
        return client

    async def hears(self, count: int = 1) -> list[tuple[str, Any]]:
        """Wait for events, and return all."""
        await aio.wait_until(lambda: len(self.heard) >= count, timeout=10)
        heard, self.heard[:] = self.heard[:], []
        return heard


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as running:
        redis = running.enter_context(RedisProcess())
        port = running.enter_context(closing(ReservedPort())).number
        environment = {
            **{name: value for name, value in os.environ.items() if name != "CROSSWIRE_REDIS"},
            "DJANGO_SETTINGS_MODULE": "tests.integration.examples.django_chat_settings",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(FOLDER), str(ROOT), os.environ.get("PYTHONPATH")])),
            "DATABASE": str(tmp_path_factory.mktemp("site") / "db.sqlite3"),
            "REDIS": redis.url,
            "PYTHONUNBUFFERED": "1",
        }
        subprocess.run([sys.executable, "-c", _SEED], cwd=FOLDER, env=environment, check=True)

        def start(*words: str) -> RunningProgram:
            program = RunningProgram([sys.executable, *words], cwd=FOLDER, environment=environment)
            running.callback(_end, program)
            return program

        pages = start("manage.py", "runserver", "--noreload", f"127.0.0.1:{port}")
        realtime = start(
            "manage.py", "runcrosswire", "--port", "0", "--workers", "2", "--app", "website.asgi:application"
        )
        worker = start("worker.py")
        pages.wait_for("Starting development server")
        realtime_port = realtime.wait_for(r"INFO crosswire.serve: listening on port (\d+)")[1]
        worker.wait_for("Waiting for jobs")
        yield Site(f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{realtime_port}", worker)


@pytest.mark.parametrize("server", ["pages", "realtime"])
def test_the_pages_are_for_those_who_are_logged_in(site: Site, server: str) -> None:
    """Both are there: a server of pages alone, and the real-time server with the pages on its port."""
    with httpx.Client(base_url=getattr(site, server).replace("ws:", "http:")) as stranger:
        assert stranger.get("/").headers["location"] == "/login?next=/"
        page = stranger.get("/static/crosswire/crosswire.min.js")
        assert "Crosswire" in page.text


async def test_a_message_that_a_view_saves_reaches_everybody_in_the_room(site: Site) -> None:
    ada, basho = Visitor(site), Visitor(site)
    await asyncio.to_thread(ada.log_in, "ada")
    await asyncio.to_thread(basho.log_in, "basho")
    async with ada.client() as first, basho.client() as second:
        assert await first.call("join", "lobby") == []
        assert await second.call("join", "lobby") == []
        posted = await asyncio.to_thread(ada.post, "/messages", 201, room="lobby", text="hello")
        said = ("said", {"id": posted.json()["id"], "room": "lobby", "author": "ada", "text": "hello"})
        assert await ada.hears() == [said]
        assert await basho.hears() == [said]

        second.send("typing", "lobby")
        ((event, data),) = await ada.hears()
        assert (event, data["room"]) == ("typing", "lobby")

        assert await second.call("join", "lobby") == [said[1]]  # it is in the database


async def test_the_worker_tells_its_progress_to_the_user_who_gave_it_the_job(site: Site) -> None:
    ada, basho = Visitor(site), Visitor(site)
    await asyncio.to_thread(ada.log_in, "ada")
    await asyncio.to_thread(basho.log_in, "basho")
    for text in ("one", "two"):
        await asyncio.to_thread(ada.post, "/messages", 201, room="export", text=text)
    async with ada.client(), basho.client() as other:
        await asyncio.to_thread(ada.post, "/exports", 202, room="export")
        heard = await ada.hears(3)
        assert heard[:2] == [("export", {"done": number, "total": 2}) for number in (1, 2)]
        event, data = heard[2]
        assert event == "exported"
        assert await asyncio.to_thread(Path(data["path"]).read_text) == "ada: one\nada: two\n"
        await other.call("join", "lobby")
        assert basho.heard == []


async def test_logging_out_ends_the_connections(site: Site) -> None:
    ada = Visitor(site)
    await asyncio.to_thread(ada.log_in, "ada")
    async with ada.client():
        await asyncio.to_thread(ada.post, "/logout", 302)
        await aio.wait_until(lambda: ada.closes)
        assert ada.closes == [Close(4010, "logged out")]


def _end(program: RunningProgram) -> None:
    program.interrupt()
    program.stop()
    assert "Traceback" not in program.output, program.output
