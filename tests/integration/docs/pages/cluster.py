"""docs/cluster.md: a server and a worker, on one Redis and on two."""

from __future__ import annotations

import pytest

from crosswire import EventError, MemoryBus, Server
from crosswire.testing import connect
from tests.integration.docs.page import Page, started
from tests.support.aio import wait_until


async def run(page: Page) -> None:
    with page.redis("10.0.0.1", "10.0.0.2"):
        await page.run("Many servers")
        server: Server = page["server"]
        page.save(page.take("Servers talk to each other"), "worker.py")
        async with started(server):
            with page.program("python", "worker.py") as worker:
                await wait_until(lambda: "worker" in server.cluster.nodes)
                call = server.cluster.call
                assert await call("worker", "resize", {"user": "13", "size": 640}) == {"done": True}
                with pytest.raises(EventError, match="4096 at most"):
                    await call("worker", "resize", {"user": "13", "size": 5000})
                worker.interrupt()
            async with connect(server) as client:
                (socket,) = server.sockets
                await socket.join("chat", "1000")
                await page.run("Who is where")
                await client.close()
        redundant, sentinels = page.take("Several Redis"), page.take("Several Redis")
        await page.run_block(redundant)
        async with started(page["server"]):
            assert len(page["server"].cluster.redis.status()) == 2
        await page.run_block(sentinels)
    page.names["MyBus"] = MemoryBus
    await page.run("Writing a bus")
    async with page["TestMyBus"]().bus() as bus:
        assert isinstance(bus, MemoryBus)
