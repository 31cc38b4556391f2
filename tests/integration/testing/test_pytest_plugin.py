"""The plugin for users' tests, in processes of its own: with pytest-asyncio, with anyio's plugin, and with neither."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

APPLICATION = """
from crosswire import Server

stopped = []

def make_server(name=None, **options):
    server = Server(name, **options)
    server.authenticate(lambda handshake: handshake.query.get("id"))
    server.on("say", lambda socket, text: server.everyone.send("said", text))
    server.on_stop(lambda: stopped.append(server.name))
    return server
"""

ASYNCHRONOUS = """
import pytest
from app import make_server, stopped
from crosswire import Client

{mark}

async def test_a_server_and_a_client(crosswire_server, crosswire_client):
    server = await crosswire_server(make_server, "one")
    ann = await crosswire_client(server, "/?id=ann")
    ann.send("say", "hello")
    assert (await ann.receive("said")).data == "hello"
    assert stopped == []

async def test_it_was_stopped():
    assert stopped == ["one"]

async def test_a_port(crosswire_server):
    server = await crosswire_server(make_server(), listen=True)
    async with Client(f"ws://127.0.0.1:{{server.port}}", params={{"id": "ann"}}) as client:
        client.send("say", "hello")

async def test_a_cluster(crosswire_cluster, crosswire_client):
    a, b = await crosswire_cluster(2, make_server)
    assert set(a.cluster.nodes) == {{"server-1", "server-2"}}
    ann, bob = await crosswire_client(a, "/?id=ann"), await crosswire_client(b, "/?id=bob")
    ann.send("say", "hello")
    assert (await bob.receive("said")).data == "hello"

async def test_a_cluster_over_a_real_valkey(crosswire_cluster, crosswire_client, crosswire_valkey):
    a, b = await crosswire_cluster(2, make_server, bus=None, redis=crosswire_valkey.url)
    ann, bob = await crosswire_client(a, "/?id=ann"), await crosswire_client(b, "/?id=bob")
    ann.send("say", "hello")
    assert (await bob.receive("said")).data == "hello"

async def test_the_server_is_stopped_after_a_failure(crosswire_server):
    await crosswire_server(make_server, "failing")
    assert False, "on purpose"

async def test_so_it_was():
    assert stopped[-1] == "failing"
"""

SYNCHRONOUS = """
from app import make_server

async def scenario(sim):
    a, b = await sim.servers(2, make_server)
    async with sim.client(a, "/?id=ann") as ann:
        said = []
        ann.on("said", said.append)
        ann.send("say", "hello")
        await sim.until(lambda: said)

def test_a_simulation(crosswire_simulation):
    crosswire_simulation.run(scenario)

async def bad(sim):
    await scenario(sim)
    assert sim.random.random() < 0, "it can't be"

def test_a_simulation_that_fails(crosswire_simulation):
    crosswire_simulation.run(bad)

def test_a_valkey(crosswire_valkey):
    assert crosswire_valkey.command("PING") == "PONG"

def test_a_server_needs_a_loop(crosswire_server):
    pass
"""

_LOOP_SCOPE = ("-o", "asyncio_default_fixture_loop_scope=function")  # without it, pytest-asyncio warns
Outcome = tuple[dict[str, int], str]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APPLICATION)
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["crosswire.testing.pytest_plugin"]\n')
    return tmp_path


def run_pytest(project: Path, *arguments: str) -> Outcome:
    """Run the tests of a project; return the numbers of each outcome, and what was printed."""
    command = [sys.executable, "-W", "error", "-m", "pytest", "-p", "no:xdist", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120, check=False)
    summary = done.stdout.rstrip().rpartition("\n")[2]
    return {
        what: int(count) for count, what in re.findall(r"(\d+) (passed|failed|error|skipped)", summary)
    }, done.stdout


@pytest.mark.parametrize(
    ("mark", "options"),
    [
        ("", ("-o", "asyncio_mode=auto", *_LOOP_SCOPE)),
        ("pytestmark = pytest.mark.asyncio", _LOOP_SCOPE),
        (
            'pytestmark = pytest.mark.anyio\n@pytest.fixture\ndef anyio_backend():\n    return "asyncio"\n',
            ("-p", "no:asyncio"),
        ),
    ],
    ids=["pytest-asyncio-auto", "pytest-asyncio-strict", "anyio"],
)
def test_asynchronous_tests_start_and_stop_servers(project: Path, mark: str, options: tuple[str, ...]) -> None:
    pytest.importorskip("pytest_asyncio", reason="pytest-asyncio is not installed")
    (project / "test_app.py").write_text(ASYNCHRONOUS.format(mark=mark))
    outcome, printed = run_pytest(project, *options)
    assert outcome == {"failed": 1, "passed": 6}, printed
    assert "on purpose" in printed


def test_a_test_without_any_plugin_runs_a_simulation(project: Path) -> None:
    (project / "test_app.py").write_text(SYNCHRONOUS)
    without = ("-p", "no:asyncio", "-p", "no:anyio")
    outcome, printed = run_pytest(project, *without)
    assert outcome == {"failed": 1, "passed": 2, "error": 1}, printed
    assert "are for tests with `async def`" in printed
    (again,) = re.findall(r"pytest '(test_app.py::\w+)' --crosswire-seed (\d+)", printed)
    (section,) = re.findall(r"-+ crosswire seed (\d+) -+", printed)
    assert section == again[1]
    assert "start server-1" in printed
    outcome, repeated = run_pytest(project, *without, again[0], "--crosswire-seed", again[1])
    assert outcome == {"failed": 1}
    trace = re.compile(r"-+ crosswire seed.*?(?=\n[-=]{3})", re.DOTALL)
    assert trace.findall(repeated) == trace.findall(printed)


def test_a_machine_without_valkey_skips_with_a_reason(project: Path) -> None:
    (project / "test_app.py").write_text(SYNCHRONOUS)
    (project / "conftest.py").write_text(
        'pytest_plugins = ["crosswire.testing.pytest_plugin"]\n'
        "import shutil\nfrom crosswire.testing import redis_process\n"
        "shutil.which = lambda *args, **options: None\n"
        "redis_process._packaged = lambda: None\n"
    )
    outcome, printed = run_pytest(project, "-p", "no:asyncio", "-rs", "-k", "valkey")
    assert outcome == {"skipped": 1}, printed
    assert "there is no Valkey" in printed


def test_nothing_is_loaded_unless_it_is_asked_for(project: Path) -> None:
    (project / "conftest.py").unlink()
    (project / "test_app.py").write_text("import sys\ndef test(): assert 'crosswire' not in sys.modules\n")
    outcome, printed = run_pytest(project, "-p", "no:asyncio")
    assert outcome == {"passed": 1}, printed
