from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from crosswire import Redis
from crosswire.testing.redis_process import RedisProcess


@pytest.fixture(scope="module")
def redis_process() -> Iterator[RedisProcess]:
    """A Redis for the tests of one module."""
    with RedisProcess() as process:
        yield process


@pytest.fixture
def redis_bus(redis_process: RedisProcess) -> Redis:
    """A bus over it, with channels of its own."""
    return Redis(redis_process.url, prefix=f"test-{secrets.token_hex(4)}:")
