from __future__ import annotations

import pytest

from crosswire.testing.redis_process import RedisProcess


@pytest.fixture
def other(redis_process: RedisProcess) -> RedisProcess:
    """Another Redis than the one that a test may kill."""
    return redis_process
