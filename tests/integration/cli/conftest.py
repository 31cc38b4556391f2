from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from crosswire.testing.redis_process import RedisProcess


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisProcess]:
    """A Redis for all tests of this folder; each cluster on it has a prefix of its own."""
    with RedisProcess() as process:
        yield process


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of this folder on Windows, which has no SO_REUSEPORT."""
    for item in items:
        if sys.platform == "win32" and "integration/cli" in item.nodeid:
            item.add_marker(pytest.mark.skip(reason="serve needs a POSIX system"))
