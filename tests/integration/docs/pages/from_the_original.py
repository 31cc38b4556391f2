"""docs/from-the-original.md: the ported server, with two clients."""

from __future__ import annotations

from crosswire import Redis, Server
from crosswire.testing import connect
from tests.integration.docs.page import Page, started
from tests.integration.docs.proxy import tls_proxy
from tests.support.aio import wait_until

_BEFORE = """
import { Client, EventError } from "crosswire-client";
const show = (text: unknown) => console.log(text);
const fail = (code: string) => console.log(code);
const spin = () => undefined;
"""


async def run(page: Page) -> None:
    with page.redis("10.0.0.1", password="secret"):
        await page.run("A server, before and after", "Server by server")
        server: Server = page["server"]
        server.on("say", lambda socket, data: {"msg": f"heard: {data['msg']}"})
        other = Server("serverB", port=0, redis=Redis("redis://:secret@10.0.0.1:6379", compat=True))
        async with started(server, other), tls_proxy(page.directory, page.environment):
            await _join(server)
            await _kick(server, other)
            printed = await page.run_script(page.take("Client by client"), before=_BEFORE, after="client.close();")
            assert printed == "heard: hi\n"


async def _join(server: Server) -> None:
    async with connect(server, "/?id=1") as first, connect(server, "/?id=2") as second, connect(server) as nobody:
        assert (await nobody.closed()).code == 4011
        assert await first.call("joinRoom", {"roomId": 1000}) == {"ok": True}
        assert await second.call("joinRoom", {"roomId": 1000}) == {"ok": True}
        assert await first.receive("joined") == ("joined", {"id": "2"}, None)


async def _kick(server: Server, other: Server) -> None:
    """Connect to one server, then to the other."""
    told: list[str] = []
    other.cluster.on("kick", lambda sender, data: told.append(data["id"]))
    async with connect(server, "/?id=1") as client:
        await wait_until(lambda: told == ["1"])
        other.cluster.send("kick", {"id": "1"}, include_self=False)
        assert (await client.closed()).code == 4012
