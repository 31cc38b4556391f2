from __future__ import annotations

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


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    """A Redis that the test may kill."""
    with RedisProcess() as process:
        yield process


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
