"""docs/from-other-processes.md: an emitter, beside a server and a node on the same Redis."""

from __future__ import annotations

from crosswire import Node, Server
from crosswire.testing import connect
from tests.integration.docs.page import Page, started
from tests.support.aio import wait_until


async def run(page: Page) -> None:
    with page.redis("127.0.0.1"):
        url = "redis://127.0.0.1:6379"
        server, node, refreshed = Server(port=0, redis=url), Node("worker", redis=url), list[dict[str, int]]()
        server.authenticate(lambda handshake: handshake.query["id"])
        node.on("refresh", lambda sender, data: refreshed.append(data))
        async with started(server, node), connect(server, "/?id=13") as member:
            await server.room("chat", "1000").add("13")
            await page.run("Emitter")
            assert (await member.receive("paid")).data == {"order": 7}
            assert (await member.receive("said")).data == {"text": "hi"}
            assert (await member.receive("news")).data == {"text": "hi"}
            await wait_until(lambda: refreshed == [{"page": 2}])
            page["emitter"].close()
