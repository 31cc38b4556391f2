"""``crosswire serve --app``: an ASGI application on the port of the workers."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import httpx
import websockets

from crosswire.testing.redis_process import RedisProcess
from tests.integration.cli.clients import guests_of_all
from tests.integration.cli.program import WAIT_TIMEOUT, crosswire, port_of, serving

ROOT = Path(__file__).parents[3]
HERE = "tests.integration.cli"
WORDS = (f"{HERE}.app:server", "--app", f"{HERE}.web:app", "--port", "0")
MAX_ATTEMPTS = 64
"""Connections to try until every worker has had one, as the kernel distributes them by their ports."""


def client(port: int) -> httpx.AsyncClient:
    """A client whose requests have a connection each."""
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=WAIT_TIMEOUT, trust_env=False)


async def answering_workers(port: int, count: int) -> set[str]:
    """Return the names of the workers that answer GET /where, once there are so many."""
    found: dict[str, Any] = {}
    async with client(port) as http:
        for _ in range(MAX_ATTEMPTS):
            name, pid = (await http.get("/where")).json()
            found[name] = pid
            if len(found) == count:
                break
    assert len(set(found.values())) == count
    return set(found)


async def test_two_workers_serve_an_application_and_websockets_on_one_port(redis: RedisProcess) -> None:
    cluster = ("--redis", redis.url, "--prefix", "one-port:")
    with serving(*WORDS, "--workers", "2", *cluster, folder=ROOT) as served:
        port = port_of(served)
        assert await answering_workers(port, 2) == {"web-1", "web-2"}
        async with guests_of_all(port, ("web-1", "web-2")) as guests, client(port) as http:
            assert (await http.post("/shout", json="hello")).status_code == 200
            for each in guests.values():  # whichever worker had the request
                event, (_, text) = await each.hears()
                assert (event, text) == ("heard", "hello")
            slow = asyncio.create_task(http.get("/slow"))
            await asyncio.to_thread(served.wait_for, "slow has begun")
            served.signal(signal.SIGTERM)
            assert (await slow).json() == "done"
            assert [(await each.closed()).code for each in guests.values()] == [1001, 1001]
        assert await asyncio.to_thread(served.wait) == 0
        for worker in ("web-1", "web-2"):
            assert f"{worker} is up" in served.output
            assert f"{worker} is down" in served.output


async def test_one_worker_takes_websockets_on_the_path_of_the_server() -> None:
    target = f"{HERE}.web:with_path"
    with serving(target, "--app", f"{HERE}.web:make_app", "--port", "0", folder=ROOT) as served:
        port = port_of(served)
        async with websockets.connect(f"ws://127.0.0.1:{port}/own") as own:
            assert await own.recv() == '"web"'
        async with websockets.connect(f"ws://127.0.0.1:{port}/ws") as ours:
            await ours.send('{"event": "hello", "callbackId": "1"}')
            assert "hello from" in str(await ours.recv())
        served.signal(signal.SIGTERM)
        assert await asyncio.to_thread(served.wait) == 0


def test_an_application_that_does_not_start_ends_serve() -> None:
    result = crosswire("serve", f"{HERE}.app:server", "--app", f"{HERE}.web:broken", "--port", "0", folder=ROOT)
    assert result.code == 1
    assert result.err.endswith("\nCONFIG: the application of app= did not start: OSError: the database is away\n")
    assert "did not shut down" not in result.err


def test_what_is_no_application_ends_serve() -> None:
    result = crosswire("serve", f"{HERE}.app:server", "--app", f"{HERE}.web:nothing", folder=ROOT)
    assert (result.code, result.out) == (2, "")
    assert f"module '{HERE}.web'" in result.err
    assert "has no 'nothing'" in result.err
