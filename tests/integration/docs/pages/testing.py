"""docs/testing.md: each of its tests passes."""

from __future__ import annotations

import inspect
from contextlib import AsyncExitStack

from crosswire import MemoryBus
from crosswire.testing import Simulation
from crosswire.testing.pytest_plugin import ClientFactory, ClusterFactory, ServerFactory
from crosswire.testing.redis_process import RedisProcess
from tests.integration.docs.page import Page


async def run(page: Page) -> None:
    await page.run()
    tests = [name for name in page.names if name.startswith("test_")]
    by_pytest = ["test_two_servers", "test_over_a_real_valkey", "test_five_minutes"]
    assert len(tests) == 10 + len(by_pytest)
    for name in tests:
        if name not in by_pytest:
            running = page[name]()
            if inspect.isawaitable(running):
                await running
    await _run_with_fixtures(page)
    async with page["TestMyBus"]().bus() as bus:
        assert isinstance(bus, MemoryBus)


async def _run_with_fixtures(page: Page) -> None:
    """Run the tests that have fixtures; tests/integration/testing has pytest run such tests."""
    async with AsyncExitStack() as stack:
        start, client = ServerFactory(stack), ClientFactory(stack)
        await page["test_two_servers"](ClusterFactory(start), client)
        with RedisProcess() as valkey:
            await page["test_over_a_real_valkey"](start, client, valkey)
            await stack.aclose()
    page["test_five_minutes"](Simulation(1))
