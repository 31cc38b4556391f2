"""``manage.py runcrosswire``, as a user runs it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from crosswire import Client, Refused
from crosswire.testing.redis_process import RedisProcess
from crosswire.testing.reserved_port import ReservedPort
from tests.integration.cli.program import port_of
from tests.support.running_program import PROGRAM_TIMEOUT, RunningProgram

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="serve needs a POSIX system")

PROJECT = Path(__file__).with_name("project")
LISTENING = r"crosswire\.server: listening on"


class Project(NamedTuple):
    """A project with a database, and the session of one user in it."""

    environment: dict[str, str]
    cookie: str

    def manage(self, *words: str, crosswire: Any = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, str(PROJECT / "manage.py"), *words],
            env=self._with(crosswire),
            capture_output=True,
            encoding="utf-8",
            timeout=PROGRAM_TIMEOUT,
            check=False,
        )

    @contextmanager
    def serving(
        self, *words: str, crosswire: Any = None, folder: Path = PROJECT, code: Path = PROJECT, port: int = 0
    ) -> Iterator[RunningProgram]:
        """Serve for as long as the context lasts.

        Args:
            words: more arguments.
            crosswire: the setting.
            folder: the current one.
            code: the folder of the project.
            port: to listen on.
        """
        command = [sys.executable, str(code / "manage.py"), "runcrosswire", "--port", str(port), *words]
        served = RunningProgram(command, cwd=folder, environment=self._with(crosswire))
        try:
            yield served
        finally:
            served.stop()

    def client(self, port: int, **headers: str) -> Client:
        return Client(f"ws://127.0.0.1:{port}", headers={"Cookie": f"sessionid={self.cookie}", **headers})

    def _with(self, crosswire: Any) -> dict[str, str]:
        return self.environment if crosswire is None else {**self.environment, "CHAT_CROSSWIRE": json.dumps(crosswire)}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    inherited = {name: value for name, value in os.environ.items() if name != "CROSSWIRE_REDIS"}
    database = str(tmp_path_factory.mktemp("project") / "database")
    environment = {**inherited, "CHAT_DATABASE": database, "PYTHONWARNINGS": "error"}
    seeded = subprocess.run(
        [sys.executable, "seed.py"], cwd=PROJECT, env=environment, capture_output=True, encoding="utf-8", check=True
    )
    return Project(environment, seeded.stdout.strip())


async def test_it_serves_the_projects_server_to_those_who_are_logged_in(project: Project, tmp_path: Path) -> None:
    with project.serving(folder=tmp_path) as served:  # wherever it is started
        port = await asyncio.to_thread(port_of, served)
        async with project.client(port, Origin="http://127.0.0.1:8000") as client:
            assert await client.call("name") == "ada"
        with pytest.raises(Refused) as refused:
            await Client(f"ws://127.0.0.1:{port}").connect()
        assert (refused.value.code, refused.value.reason) == (4011, "not logged in")
        with pytest.raises(Refused) as refused:
            await project.client(port, Origin="http://evil.test").connect()
        assert "ALLOWED_HOSTS" in refused.value.reason
        served.signal(signal.SIGTERM)
        assert await asyncio.to_thread(served.wait) == 0
    assert "Traceback" not in served.output


async def test_several_processes_share_a_port_and_the_redis_of_the_settings(project: Project) -> None:
    with RedisProcess() as redis:
        crosswire = {"SERVER": "realtime:server", "REDIS": redis.url}
        with project.serving("--workers", "2", "--name", "chat", crosswire=crosswire) as served:
            port = await asyncio.to_thread(port_of, served)
            heard: asyncio.Queue[str] = asyncio.Queue()
            async with project.client(port) as client:
                client.on("heard", heard.put_nowait)
                assert await client.call("where") in ("chat-1", "chat-2")
                client.send("shout", "hello")
                assert await asyncio.wait_for(heard.get(), 20) == "hello"
            assert await asyncio.to_thread(served.interrupt) == 0
    assert served.output.count("crosswire.server: listening on") == 2
    assert "Traceback" not in served.output


async def test_the_projects_pages_may_be_on_the_same_port(project: Project) -> None:
    with project.serving("--app", "asgi:pages") as served:
        port = await asyncio.to_thread(port_of, served)
        async with project.client(port) as client, httpx.AsyncClient(cookies={"sessionid": project.cookie}) as http:
            assert await client.call("name") == "ada"
            assert (await http.get(f"http://127.0.0.1:{port}/name")).text == "ada"
            assert (await http.get(f"http://127.0.0.1:{port}/nothing")).status_code == 404
        assert await asyncio.to_thread(served.interrupt) == 0
    assert "Traceback" not in served.output


@pytest.mark.parametrize(
    ("crosswire", "words", "told"),
    [
        ({"SERVER": "realtim:server"}, [], "there is no module 'realtim'"),
        ({}, ["realtime:sever"], "its servers: server"),
    ],
)
def test_a_server_that_is_not_there_is_told_in_one_line(
    project: Project, crosswire: Any, words: list[str], told: str
) -> None:
    done = project.manage("runcrosswire", *words, crosswire=crosswire)
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_the_help_has_the_options_of_serving(project: Project) -> None:
    done = project.manage("runcrosswire", "--help")
    assert done.returncode == 0
    for option in ("MODULE:SERVER", "--workers", "--port", "--redis", "--drain"):
        assert option in done.stdout


async def test_with_reload_the_server_starts_anew_when_the_code_changes(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    await asyncio.to_thread(shutil.copytree, PROJECT, folder)
    module = folder / "realtime.py"
    code = await asyncio.to_thread(module.read_text)
    words = ("--reload", "--app", "asgi:pages")
    with closing(ReservedPort()) as port, project.serving(*words, port=port.number, code=folder) as served:
        try:
            await asyncio.to_thread(served.wait_for, LISTENING)
            async with project.client(port.number) as client:
                assert (await client.call("where")).startswith("node-")
            changed = code + "\nthis is an error\n"
            await asyncio.to_thread(change_until, module, changed, served, r"line \d+\n.*\n.*\nSyntaxError")
            changed = code.replace("return server.name", "return 'changed'")
            await asyncio.to_thread(change_until, module, changed, served, rf"(?s){LISTENING}.*{LISTENING}")
            async with project.client(port.number) as client:
                assert await client.call("where") == "changed"
                async with httpx.AsyncClient() as http:
                    assert (await http.get(f"http://127.0.0.1:{port.number}/name")).status_code == 200
        finally:
            await asyncio.to_thread(served.interrupt)  # killed, it would leave the process that it has started


def change_until(module: Path, code: str, served: RunningProgram, pattern: str) -> None:
    """Change a file, again if need be: the reloader misses what changes before it has looked at the files once.

    Each time it is given twice as long: a change while the server starts makes it start anew.
    """
    deadline, patience = time.monotonic() + PROGRAM_TIMEOUT, 2.0
    modified = module.stat().st_mtime
    module.write_text(code)
    while re.search(pattern, served.output) is None:
        assert time.monotonic() < deadline, served.output
        modified += 2  # for file systems with coarse times
        os.utime(module, (modified, modified))
        again = time.monotonic() + patience
        patience *= 2
        while time.monotonic() < again and re.search(pattern, served.output) is None:
            time.sleep(0.1)


ENDS_SLOWLY = """
import ctypes, sys
import django
from crosswire.django.reloading import serve_with_reload

django.setup()
libc = ctypes.CDLL(None)
for function in (libc.getchar, libc.setsid):  # called after the interpreter's end, the last one first
    libc.__cxa_atexit(ctypes.cast(function, ctypes.c_void_p), None, None)
serve_with_reload("realtime:server", host="127.0.0.1", port=int(sys.argv[1]), app=None)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux shows when the interpreter has ended")
def test_a_client_that_comes_when_the_reloader_has_ended_the_interpreter_does_no_harm(project: Project) -> None:
    environment = {**project.environment, "DJANGO_SETTINGS_MODULE": "chat_settings", "RUN_MAIN": "true"}
    with closing(ReservedPort()) as port:
        command = [sys.executable, "-c", ENDS_SLOWLY, str(port.number)]
        with subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        ) as process:
            try:
                assert process.stderr is not None
                assert any(re.search(LISTENING, line) for line in process.stderr)
                process.terminate()
                wait_for(process, lambda: os.getsid(process.pid) == process.pid)
                with socket.create_connection(("127.0.0.1", port.number)):
                    wait_for(process, lambda: len(os.listdir(f"/proc/{process.pid}/task")) == 1)  # the server's is gone
                process.communicate("\n", PROGRAM_TIMEOUT)
            finally:
                process.kill()
    assert process.returncode == 0


def wait_for(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Wait until a condition is true, or the process has ended."""
    deadline = time.monotonic() + PROGRAM_TIMEOUT
    while process.poll() is None and not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
