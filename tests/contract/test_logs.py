"""The contract of logs: in memory, in a simulation, and in Redis and Valkey."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from crosswire.cluster.interface import Bus
from crosswire.cluster.memory import MemoryBus
from crosswire.runtime.loops import loop_factory
from crosswire.testing.log_suite import LogContract
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
