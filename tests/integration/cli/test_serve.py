"""``crosswire serve``, and its workers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import tempfile
from pathlib import Path

import pytest

from crosswire.cli.serve import _held_port
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cli.clients import guest, guests_of_all
from tests.integration.cli.program import WAIT_TIMEOUT, crosswire, port_of, serving

TERM, INT, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGKILL
ALONE = ("app:server", "--port", "0")


def incarnations(*cluster: str) -> dict[str, str]:
    """Return the incarnation of each living node."""
    code, out, err = crosswire("nodes", "--json", *cluster)
    assert (code, err) == (0, "")
    return {node["name"]: node["incarnation"] for node in json.loads(out)["nodes"]}


# Several workers


async def test_a_worker_that_is_killed_comes_back(redis: RedisProcess) -> None:
    cluster = ("--redis", redis.url, "--prefix", "killed:")

    with serving("app:server", "--workers", "2", "--port", "0", *cluster) as served:
        port = port_of(served)
        before = await asyncio.to_thread(incarnations, *cluster)
        assert set(before) == {"web-1", "web-2"}
        async with guests_of_all(port, before) as guests:
            os.kill(guests["web-2"].pid, KILL)
            assert (await guests["web-2"].closed()).code == 1006
            await asyncio.to_thread(
                served.wait_for,
                r"web-2 \(pid \d+\) was killed by SIGKILL; it is started again in 0\.2 s\n"
                rf"(.*\n)*.* web-2 crosswire.server: listening on ws://127.0.0.1:{port}\n",
            )
            after = await asyncio.to_thread(incarnations, *cluster)
            assert after["web-1"] == before["web-1"]
            assert after["web-2"] != before["web-2"]
            async with guests_of_all(port, before, "another") as others:
                others["web-2"].client.send("shout", "back")
                assert await guests["web-1"].hears() == ("heard", ["web-2", "back"])


async def test_sigterm_drains_the_workers(redis: RedisProcess) -> None:
    words = ("--workers", "2", "--port", "0", "--drain", "2", "--redis", redis.url, "--prefix", "drained:")
    with serving("app:server", *words) as served:
        port = port_of(served)
        async with guests_of_all(port, ("web-1", "web-2")) as guests:
            busy = guests["web-1"]
            answer = asyncio.create_task(busy.client.call("slow"))
            assert (await busy.hears())[0] == "begun"
            served.signal(TERM)
            assert await answer == "done"
            assert [(await each.closed()).code for each in guests.values()] == [1001, 1001]
        assert await asyncio.to_thread(served.wait) == 0
        assert served.output.count("crosswire.server: stopped") == 2


def test_workers_share_an_embedded_redis_and_the_port_of_the_first() -> None:
    with tempfile.TemporaryDirectory(prefix="cw", dir="/tmp", ignore_cleanup_errors=True) as directory:
        environment = {"TMPDIR": directory}
        with serving("app:server", "--workers", "2", "--embedded", environment=environment) as served:
            port = port_of(served)
            assert served.output.count(f"crosswire.server: listening on ws://127.0.0.1:{port}\n") == 2
            answered = crosswire("call", "--all", "double", "4", "--embedded", environment=environment)
            assert json.loads(answered.out)["answers"] == {"web-1": 8, "web-2": 8}
            served.signal(TERM)
            assert served.wait() == 0


def test_a_name_in_use_ends_serve(redis: RedisProcess) -> None:
    cluster = ("--redis", redis.url, "--prefix", "taken:")
    with serving(*ALONE, "--name", "shop", *cluster) as served:
        served.wait_for("INFO crosswire.serve: listening on port .*: shop-1$")
        with serving("app:nameless", "--name", "shop", *cluster) as second:
            assert second.wait() == 1, second.output
            assert "CONFIG: there is a living node of the name 'shop-1' already" in second.output
        assert set(incarnations(*cluster)) == {"shop-1"}


def test_another_redis_keeps_the_other_options_of_the_server(redis: RedisProcess) -> None:
    with serving("app:among_originals", environment={"CROSSWIRE_REDIS": redis.url}) as served:
        assert port_of(served)
        assert "ws:lobby" in redis.command("PUBSUB", "CHANNELS", "ws:*")
        assert set(incarnations("--redis", redis.url, "--prefix", "mixed:")) == {"mixed-1"}


# One worker


async def test_the_port_stays_the_same_when_the_only_worker_dies() -> None:
    with serving(*ALONE) as served:
        port = port_of(served)
        async with guest(port) as one:
            assert one.worker == "web-1"
            assert os.getpgid(one.pid) == one.pid  # a Ctrl-C is for the supervisor alone
            os.kill(one.pid, KILL)
            await one.closed()
        await asyncio.to_thread(served.wait_for, rf"was killed by SIGKILL(.|\n)*listening on ws://127.0.0.1:{port}\n")
        async with guest(port) as another:
            assert another.worker == "web-1"


def test_a_held_port_can_be_shared_and_gets_no_connections() -> None:
    with _held_port() as held, socket.socket() as stranger, socket.socket() as worker:
        address = ("127.0.0.1", held.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            stranger.bind(address)
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        worker.bind(address)
        worker.listen()
        worker.settimeout(WAIT_TIMEOUT)
        for _ in range(20):
            with socket.create_connection(address, WAIT_TIMEOUT), worker.accept()[0]:
                pass


def test_a_server_without_a_name_has_the_name_of_its_module() -> None:
    with serving("app:nameless") as served:
        served.wait_for("INFO crosswire.serve: listening on port .*: app-1$")


def test_a_unix_socket_serves_too(tmp_path: Path) -> None:
    with serving("app:server", "--host", f"unix:{tmp_path}/x.sock") as served:
        served.wait_for("INFO crosswire.serve: listening on a Unix socket: web-1$")
        assert (tmp_path / "x.sock").is_socket()


async def test_ctrl_c_stops_at_once() -> None:
    with serving(*ALONE, "--drain", "1000") as served:
        port = port_of(served)
        async with guest(port) as one:
            one.client.send("stuck")
            assert (await one.hears())[0] == "begun"
            served.signal(INT)
            assert (await one.closed()).code == 1001
        assert await asyncio.to_thread(served.wait) == 0


async def test_a_second_signal_ends_the_drain() -> None:
    with serving(*ALONE, "--drain", "60") as served:
        port = port_of(served)
        async with guest(port, "1") as stuck, guest(port, "2") as idle:
            stuck.client.send("stuck")
            assert (await stuck.hears())[0] == "begun"
            served.signal(TERM)
            assert (await idle.closed()).code == 1001
            served.signal(TERM)
            assert (await stuck.closed()).code == 1001
        assert await asyncio.to_thread(served.wait) == 0


# Without a supervisor


async def test_workers_end_when_their_supervisor_is_killed(redis: RedisProcess) -> None:
    words = ("--workers", "2", "--port", "0", "--redis", redis.url, "--prefix", "orphans:")
    with serving("app:server", *words) as served:
        port = port_of(served)
        async with guests_of_all(port, ("web-1", "web-2")) as guests:
            served.signal(KILL)
            assert [(await each.closed()).code for each in guests.values()] == [1001, 1001]
        assert await asyncio.to_thread(served.wait) == -KILL
        assert served.output.count("the supervisor is gone, so this worker stops") == 2


async def test_a_worker_that_hangs_ends_with_its_supervisor_too() -> None:
    with serving(*ALONE) as served:
        port = port_of(served)
        async with guest(port) as one:
            one.client.send("block")
            assert (await one.hears())[0] == "begun"
            served.signal(KILL)
            assert (await one.closed()).code == 1006
        assert await asyncio.to_thread(served.wait) == -KILL


# What goes wrong


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (("nope:server",), 2, "crosswire serve: there is no module 'nope', neither in "),
        (("app:nope",), 2, "crosswire serve: module 'app' ("),
        (
            ("app:block",),
            2,
            "crosswire serve: app:block takes arguments: give a function without arguments that returns a Server",
        ),
        (("app:server", "--workers", "2"), 2, "crosswire serve: 2 workers need a Redis between them to act as one: "),
        (("app:server", "--workers", "2", "--host", "unix:/tmp/cw-x"), 2, "crosswire serve: 2 workers can't share a"),
        (("app:server", "--host", "192.0.2.1"), 1, "CONFIG: can't listen on 192.0.2.1 port 0: "),
    ],
)
def test_impossible_options_end_serve_with_one_line(words: tuple[str, ...], code: int, line: str) -> None:
    ended = crosswire("serve", *words)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(line)
    assert ended.err.count("\n") == 1


def test_a_port_in_use_ends_serve() -> None:
    with serving(*ALONE) as served:
        code, out, err = crosswire("serve", "app:nameless", "--port", f"{port_of(served)}")
    assert (code, out) == (1, "")
    assert err.startswith("CONFIG: can't listen on 127.0.0.1 port ")
