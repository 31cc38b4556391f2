"""docs/from-other-processes.md: a script sends to a server's clients."""

from __future__ import annotations

from crosswire import Handshake, Node, Server
from crosswire.testing import connect
from tests.integration.docs.page import Page, started
from tests.support.aio import wait_until

_REDIS = "redis://127.0.0.1:6379"


async def run(page: Page) -> None:
    server, worker = Server("shop", port=0, redis=_REDIS), Node("worker", redis=_REDIS)
    refreshed: list[int] = []
    worker.on("refresh", lambda sender, data: refreshed.append(data["page"]))

    @server.authenticate
    def who(handshake: Handshake) -> str:
        return handshake.query["id"]

    page.save(page.take("Other processes: Emitter"), "script.py")
    with page.redis("127.0.0.1"):
        async with (
            started(server, worker),
            connect(server, "/?id=13") as thirteen,
            connect(server, "/?id=3") as three,
            connect(server, "/?id=10") as ten,
        ):
            for user in ("3", "10"):
                await server.room("chat", "1000").add(user)
            code, output = await page.shell("python script.py")
            assert code == 0, output
            assert (await thirteen.receive("paid")).data == {"order": 7}
            assert (await ten.receive("said")).data == {"text": "hi"}
            for client in (thirteen, three, ten):
                assert (await client.receive("news")).data == {"text": "hi"}
            await wait_until(lambda: refreshed == [2])
