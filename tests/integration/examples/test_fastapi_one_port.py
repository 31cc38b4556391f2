"""examples/fastapi_one_port: readers on two workers see comments that come over HTTP."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from crosswire import Client, Node, Redis
from crosswire.testing.redis_process import RedisProcess
from tests.support.aio import wait_until
from tests.support.running_program import RunningProgram

ROOT = Path(__file__).parents[3]
WAIT_TIMEOUT = 20.0
WORKERS = ("live-1", "live-2")
MAX_READERS = 64
"""Readers until each worker has one, as the kernel distributes them by their ports."""


@contextmanager
def serving(redis: RedisProcess, database: Path) -> Iterator[RunningProgram]:
    words = ("fastapi_one_port.live:server", "--app", "fastapi_one_port.site:app", "--workers", "2", "--port", "0")
    served = RunningProgram(
        [sys.executable, "-m", "crosswire", "serve", *words, "--redis", redis.url],
        cwd=ROOT / "examples",
        environment={**os.environ, "COMMENTS": str(database), "PYTHONWARNINGS": "error"},
    )
    try:
        yield served
    finally:
        served.stop()
        assert "Traceback" not in served.output, served.output


class Reader:
    """A reader of the article "tea", with what it is told."""

    def __init__(self, port: int, name: str) -> None:
        self.name = name
        self.client = Client(f"ws://127.0.0.1:{port}/live", params={"name": name}, call_timeout=WAIT_TIMEOUT)
        self.told: list[tuple[str, Any]] = []
        self.client.on("comment", lambda data: self.told.append(("comment", data)))
        self.client.on("writing", lambda data: self.told.append(("writing", data)))


@asynccontextmanager
async def readers_on_both(port: int, redis: RedisProcess) -> AsyncIterator[list[Reader]]:
    """Readers of which each worker has one or more."""
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(Node("test", redis=Redis(redis.url)))
        readers: list[Reader] = []
        for number in range(MAX_READERS):
            reader = Reader(port, f"reader-{number:02}")
            await stack.enter_async_context(reader.client)
            readers.append(reader)
            assert await reader.client.call("read", "tea") == len(readers)
            # The connections of each worker are in its beats, twice a second.
            await wait_until(
                lambda: sum(node.nodes[name].connections for name in WORKERS if name in node.nodes) == len(readers),
                WAIT_TIMEOUT,
            )
            if all(node.nodes[name].connections for name in WORKERS):
                yield readers
                return
        raise AssertionError(f"all of {MAX_READERS} readers came to the same worker")


async def test_comments_over_http_reach_the_readers_on_both_workers(tmp_path: Path) -> None:
    with RedisProcess() as redis, serving(redis, tmp_path / "comments") as served:
        found = await asyncio.to_thread(served.wait_for, r"listening on port (\d+): live-1, live-2")
        base = f"http://127.0.0.1:{found[1]}"
        port = int(found[1])
        async with (
            httpx.AsyncClient(base_url=base, timeout=WAIT_TIMEOUT, trust_env=False) as http,
            readers_on_both(port, redis) as readers,
        ):
            assert "<h1" in (await http.get("/articles/tea")).text
            assert (await http.get("/healthz")).json() == {"status": "ok"}
            names = [reader.name for reader in readers]
            comment = {"author": "ann", "text": "lovely"}
            for _ in range(2):
                async with httpx.AsyncClient(base_url=base, trust_env=False) as other:  # a connection of its own
                    assert (await other.get("/articles/tea/readers")).json() == names
                    answer = await other.post("/articles/tea/comments", json=comment)
                    assert (answer.status_code, answer.json()) == (201, comment)
            await wait_until(lambda: all(len(reader.told) >= 2 for reader in readers), WAIT_TIMEOUT)
            assert all(reader.told == [("comment", comment)] * 2 for reader in readers)
            assert (await http.get("/articles/tea/comments")).json() == [comment] * 2
            assert (await http.get("/articles/milk/comments")).json() == []
            assert (await http.post("/articles/tea/comments", json={"author": "ann"})).status_code == 422
            readers[0].client.send("writing", "tea")
            writing = ("writing", {"author": names[0]})
            await wait_until(lambda: all(writing in reader.told for reader in readers[1:]), WAIT_TIMEOUT)
            assert writing not in readers[0].told
            with pytest.raises(websockets.InvalidStatus, match="401"):
                await websockets.connect(f"ws://127.0.0.1:{port}/live")
        served.signal(signal.SIGTERM)
        assert await asyncio.to_thread(served.wait) == 0
