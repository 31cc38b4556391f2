"""``manage.py runcrosswire``, as a user runs it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from crosswire import Client, Refused
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cli.program import port_of
from tests.support.running_program import PROGRAM_TIMEOUT, RunningProgram

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="serve needs a POSIX system")

PROJECT = Path(__file__).with_name("project")


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
    def serving(self, *words: str, crosswire: Any = None, folder: Path = PROJECT) -> Iterator[RunningProgram]:
        """Serve for as long as the context lasts."""
        command = [sys.executable, str(PROJECT / "manage.py"), "runcrosswire", "--port", "0", *words]
        served = RunningProgram(command, cwd=folder, environment=self._with(crosswire))
        try:
            yield served
        finally:
            served.stop()
            assert "Traceback" not in served.output

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
                assert await asyncio.wait_for(heard.get(), 5) == "hello"
            assert await asyncio.to_thread(served.interrupt) == 0
    assert served.output.count("crosswire.server: listening on") == 2


@pytest.mark.parametrize(
    ("crosswire", "words", "told"),
    [
        ({}, [], "CROSSWIRE in the settings names no server"),
        ({"SERVER": "realtime.server"}, [], "write MODULE:SERVER, such as 'realtime:server'"),
        ({"SERVERS": "realtime:server"}, [], "CROSSWIRE has no key 'SERVERS': did you mean 'SERVER'?"),
        ({"SERVER": "realtim:server"}, [], "there is no module 'realtim'"),
        ({}, ["realtime:sever"], "its servers: server"),
        (None, ["--workers", "0"], "'0' is no number of processes"),
        (None, ["--prefix", "a:"], "--prefix is for a Redis"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(project: Project, crosswire: Any, words: list[str], told: str) -> None:
    done = project.manage("runcrosswire", *words, crosswire=crosswire)
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_the_help_has_the_options_of_serving(project: Project) -> None:
    done = project.manage("runcrosswire", "--help")
    assert done.returncode == 0
    for option in ("MODULE:SERVER", "--workers", "--port", "--redis", "--drain"):
        assert option in done.stdout
