"""The contract of buses: in memory, over TCP, and over one Redis or several, with each strategy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any, ClassVar

import pytest

from crosswire.cluster.interface import Bus
from crosswire.cluster.memory import MemoryBus
from crosswire.cluster.redis.options import Redis
from crosswire.runtime.loops import loop_factory
from crosswire.testing.bus_suite import BusContract
from crosswire.testing.redis_process import RedisProcess
from crosswire.testing.simulated_bus import SimulatedBus
from crosswire.testing.virtual_clock import VirtualClockLoop
from tests.support import aio
from tests.support.tcp_bus import tcp_bus


@pytest.fixture(scope="module")
def servers() -> Iterator[list[RedisProcess]]:
    with ExitStack() as stack:
        yield [stack.enter_context(RedisProcess()) for _ in range(2)]


class _Contract(BusContract):
    def run(self, test: Coroutine[Any, Any, None]) -> None:
        aio.run(test, loop_factory())


class TestMemory(_Contract):
    @asynccontextmanager
    async def bus(self) -> AsyncIterator[Bus]:
        yield MemoryBus()


class TestSimulatedWithoutFaults(_Contract):
    @asynccontextmanager
    async def bus(self) -> AsyncIterator[Bus]:
        yield SimulatedBus()


class TestSimulatedOnAVirtualClock(TestSimulatedWithoutFaults):
    def run(self, test: Coroutine[Any, Any, None]) -> None:
        aio.run(test, VirtualClockLoop)


class TestSimulatedWithDelays(TestSimulatedOnAVirtualClock):
    """A bus that is slow, and no message of which is lost."""

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[Bus]:
        bus = SimulatedBus()
        bus.delay = (0.0, 0.05)
        yield bus


class TestTcp(_Contract):
    """A bus that sends messages twice and in another order, and can't count who listens."""

    counts_listeners = False

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[Bus]:
        async with tcp_bus() as (bus, _):
            yield bus


class TestTcpOnAsyncio(TestTcp):
    def run(self, test: Coroutine[Any, Any, None]) -> None:
        aio.run(test, asyncio.new_event_loop)


class _OverRedis(_Contract):
    count = 2
    options: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(autouse=True)
    def _servers(self, servers: list[RedisProcess]) -> None:
        self.urls = [server.url for server in servers[: self.count]]

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[Bus]:
        yield Redis(self.urls, **self.options)


class TestOneRedis(_OverRedis):
    count = 1


class TestOneRedisOnAsyncio(_OverRedis):
    count = 1

    def run(self, test: Coroutine[Any, Any, None]) -> None:
        aio.run(test, asyncio.new_event_loop)


class TestTwoRedis(_OverRedis):
    pass


class TestRoundRobin(_OverRedis):
    options: ClassVar[dict[str, Any]] = {"strategy": "round-robin"}


class TestRandom(_OverRedis):
    options: ClassVar[dict[str, Any]] = {"strategy": "random"}


class TestFastest(_OverRedis):
    options: ClassVar[dict[str, Any]] = {"strategy": "fastest"}


class TestRedundant(_OverRedis):
    options: ClassVar[dict[str, Any]] = {"delivery": "redundant"}


class TestRedundantRoundRobin(_OverRedis):
    options: ClassVar[dict[str, Any]] = {"delivery": "redundant", "strategy": "round-robin"}
