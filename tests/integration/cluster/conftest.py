from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest

from crosswire import MemoryBus, Redis
from crosswire.cluster.interface import Bus
from crosswire.runtime import loops
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.support import listener_counts
from tests.support.aio import LoopFactory


@pytest.fixture
def loop_factory() -> LoopFactory | None:
    """Run the asynchronous tests of this folder on the kind of loop that ``node.run()`` uses."""
    return loops.loop_factory()


@pytest.fixture(scope="module")
def redis_process() -> Iterator[RedisProcess]:
    """A Redis for the tests of one module."""
    with RedisProcess() as process:
        yield process


@pytest.fixture
def redis_bus(redis_process: RedisProcess) -> Redis:
    """A bus over it, with channels of its own."""
    return Redis(redis_process.url, prefix=f"test-{secrets.token_hex(4)}:")


@pytest.fixture(params=["memory", "redis"])
def bus(request: pytest.FixtureRequest) -> Bus:
    """A bus of each kind."""
    if request.param == "memory":
        return MemoryBus()
    redis: Redis = request.getfixturevalue("redis_bus")
    return redis


@pytest.fixture
def listened(bus: Bus, request: pytest.FixtureRequest) -> Callable[[], dict[str, int]]:
    """Return a function that counts the listeners of each channel."""
    if isinstance(bus, MemoryBus):
        return lambda: listener_counts(bus)
    process: RedisProcess = request.getfixturevalue("redis_process")
    return lambda: listener_counts(bus, process)
