"""Clients in rooms that keep history, with real servers and a real Redis."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from crosswire import Client, Node, RoomState, Server, Socket
from crosswire.testing.redis_process import RedisProcess
from tests.integration.client.helpers import quick_client
from tests.support.aio import wait_until

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def server_process(redis: RedisProcess) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A server in a process of its own, and its port."""
    command = (sys.executable, "-m", "tests.browser.server_program", redis.url)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
    try:
        assert process.stdout is not None
        yield process, int(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()


class Member:
    """A client that goes into a room whenever it is connected, and what it hears there."""

    def __init__(self, port: int, user: str, **options: Any) -> None:
        self.client: Client = quick_client(f"ws://127.0.0.1:{port}", params={"id": user}, **options)
        self.posted: list[int] = []
        self.states: list[RoomState] = []
        self.client.on("posted", self.posted.append)
        self.client.on_room(self.states.append)
        self.client.on_error(lambda: None)
        self.client.on_open(self._enter)

    async def _enter(self) -> None:
        await self.client.call("enter", "1", timeout=30)


def make_server(name: str, port: int, redis: str | None) -> Server:
    server = Server(name, port=port, redis=redis)
    server.history("kept", size=100, ttl=300)
    server.authenticate(lambda handshake: handshake.query["id"])

    @server.on("enter")
    async def enter(socket: Socket, room: str) -> None:
        await socket.join("kept", room)

    return server


async def publish(node: Node, numbers: Sequence[int]) -> None:
    for number in numbers:
        await node.room("kept", "1").publish("posted", number)


@pytest.mark.parametrize("subprotocols", [(), ("crosswire.msgpack",)])
async def test_a_server_is_killed_and_another_gives_its_clients_what_they_missed(subprotocols: Sequence[str]) -> None:
    with RedisProcess() as redis:
        worker = Node("worker", redis=redis.url)
        worker.history("kept", size=100, ttl=300)
        async with worker, server_process(redis) as (process, port):
            member = Member(port, "1", subprotocols=subprotocols)
            async with member.client:
                await wait_until(lambda: len(member.states) == 1)
                await publish(worker, range(1, 6))
                await wait_until(lambda: len(member.posted) == 5)
                process.kill()
                await process.wait()
                await wait_until(lambda: member.client.reconnecting)
                await publish(worker, range(6, 21))
                async with make_server("another", port, redis.url):
                    await publish(worker, range(21, 31))
                    await wait_until(lambda: len(member.posted) >= 30)
                    assert member.posted == list(range(1, 31))
                    assert [state[:3] for state in member.states] == [("kept", "1", None), ("kept", "1", True)]


async def test_a_client_that_is_closed_goes_on_where_it_was() -> None:
    async with make_server("alone", 0, None) as server:
        member = Member(server.port, "1")
        await member.client.connect()
        await wait_until(lambda: len(member.states) == 1)
        await publish(server.cluster, [1])
        await wait_until(lambda: member.posted == [1])
        await member.client.close()
        await publish(server.cluster, [2, 3])
        async with member.client:
            await wait_until(lambda: member.posted == [1, 2, 3])
        assert [state.recovered for state in member.states] == [None, True]
