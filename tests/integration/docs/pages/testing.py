"""docs/testing.md: each of its tests passes."""

from __future__ import annotations

from crosswire import MemoryBus
from tests.integration.docs.page import Page


async def run(page: Page) -> None:
    await page.run()
    tests = [name for name in page.names if name.startswith("test_")]
    assert len(tests) == 8
    for name in tests:
        await page[name]()
    async with page["TestMyBus"]().bus() as bus:
        assert isinstance(bus, MemoryBus)
