"""The contract of logs: in memory, in a simulation, and in Redis and Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from crosswire.cluster.interface import Bus
from crosswire.cluster.memory import MemoryBus
from crosswire.cluster.redis.options import Redis
from crosswire.runtime.loops import loop_factory
from crosswire.testing.log_suite import LogContract
from crosswire.testing.redis_process import RedisProcess, servers_here
from crosswire.testing.simulated_bus import SimulatedBus
from tests.support import aio


class _Contract(LogContract):
    def run(self, test: Coroutine[Any, Any, None]) -> None:
        aio.run(test, loop_factory())


class TestMemory(_Contract):
    @asynccontextmanager
    async def bus(self) -> AsyncIterator[Bus]:
        yield MemoryBus()


class TestSimulated(_Contract):
    @asynccontextmanager
    async def bus(self) -> AsyncIterator[Bus]:
        yield SimulatedBus()


@pytest.fixture(scope="module", params=servers_here(), ids=lambda path: path.name)
def servers(request: pytest.FixtureRequest) -> Iterator[list[RedisProcess]]:
    """Two servers of each kind that is on this machine: Redis, and Valkey."""
    binary: Path = request.param
    with ExitStack() as stack:
        yield [stack.enter_context(RedisProcess(binary)) for _ in range(2)]


class TestRedis(_Contract):
    count = 1

    @pytest.fixture(autouse=True)
    def _servers(self, servers: list[RedisProcess]) -> None:
        self.urls = [server.url for server in servers[: self.count]]

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[Bus]:
        yield Redis(self.urls)


class TestRedisOnAsyncio(TestRedis):
    def run(self, test: Coroutine[Any, Any, None]) -> None:
        aio.run(test, asyncio.new_event_loop)


class TestTwoRedis(TestRedis):
    count = 2
