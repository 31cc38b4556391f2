"""examples/starlette_granian: two workers of granian and a Redis are one server."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from crosswire import Client, Refused
from crosswire.testing.redis_process import RedisProcess
from crosswire.testing.reserved_port import ReservedPort
from tests.support.running_program import RunningProgram

FOLDER = Path(__file__).parents[3] / "examples/starlette_granian"
WORKERS = 2
MAX_VISITORS = 60
"""Clients that connect until each worker has one; the kernel chooses the worker."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with RedisProcess() as redis, closing(ReservedPort()) as port:
        command = [sys.executable, "-m", "granian", "--interface", "asgi", "--workers", str(WORKERS)]
        granian = RunningProgram(
            [*command, "--port", str(port.number), "main:app"],
            cwd=FOLDER,
            environment={**os.environ, "REDIS": redis.url},
        )
        try:
            granian.wait_for(rf"(?s)(Started worker-\d+.*){{{WORKERS}}}")
            yield f"127.0.0.1:{port.number}"
            assert granian.interrupt() == 0
            assert "Traceback" not in granian.output
        finally:
            granian.stop()


class Visitor(NamedTuple):
    """A client, and what it hears."""

    name: str
    worker: str
    client: Client
    heard: asyncio.Queue[Any]


@asynccontextmanager
async def visitors_of_all_workers(address: str, room: str) -> AsyncIterator[dict[str, Visitor]]:
    """Connect until each worker has a client in the room."""
    async with AsyncExitStack() as connected:
        found: dict[str, Visitor] = {}
        for number in range(MAX_VISITORS):
            heard: asyncio.Queue[Any] = asyncio.Queue()
            client = Client(f"ws://{address}/ws/", params={"name": f"visitor {number}"})
            client.on("said", heard.put_nowait)
            await connected.enter_async_context(client)
            worker = (await client.call("join", room))["worker"]
            found.setdefault(worker, Visitor(f"visitor {number}", worker, client, heard))
            if len(found) == WORKERS:
                break
        assert len(found) == WORKERS
        yield found


async def test_messages_cross_the_workers(address: str) -> None:
    async with visitors_of_all_workers(address, "lobby") as visitors:
        for speaker in visitors.values():
            speaker.client.send("say", {"room": "lobby", "text": "hello"})
            for visitor in visitors.values():
                said = await asyncio.wait_for(visitor.heard.get(), 20)
                assert said == {"from": speaker.name, "text": "hello"}


async def test_a_route_of_any_worker_reaches_the_room_on_all(address: str) -> None:
    async with visitors_of_all_workers(address, "dinner") as visitors, httpx.AsyncClient() as http:
        for _ in range(4):
            answer = await http.post(f"http://{address}/rooms/dinner", content="Dinner is ready")
            assert answer.status_code == 202
            assert {visitor.name for visitor in visitors.values()} <= set(answer.json()["members"])
            for visitor in visitors.values():
                said = await asyncio.wait_for(visitor.heard.get(), 20)
                assert said == {"from": "the announcer", "text": "Dinner is ready"}


async def test_who_has_no_name_is_refused(address: str) -> None:
    with pytest.raises(Refused) as refused:
        await Client(f"ws://{address}/ws/").connect()
    assert refused.value.status in (401, 403)  # granian has no denial response: it answers 403
