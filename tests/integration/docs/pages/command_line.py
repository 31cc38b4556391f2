"""docs/command-line.md: two servers to talk to, and one to serve."""

from __future__ import annotations

from crosswire import EventError, Server
from crosswire.testing import connect
from tests.integration.docs.page import Page, started

_REDIS = "redis://10.0.0.1:6379"
_CHAT = """
from crosswire import Server, Socket

server = Server()


@server.on("say")
async def say(socket: Socket, data: dict) -> dict:
    return {"heard": True}
"""


async def run(page: Page) -> None:
    (page.directory / "chat.py").write_text(_CHAT)
    page.environment["CROSSWIRE_REDIS"] = _REDIS
    one, two = (Server(f"chat-{number}", port=0, redis=_REDIS) for number in (1, 2))
    one.cluster.on("price", lambda sender, data: {"item": data["item"], "cents": 250})
    two.cluster.on("price", _refuse)
    with page.redis("10.0.0.1"):
        async with started(one, two), connect(two) as client:
            await page.run_block(page.take("nodes"), varying=[r"\b\d+\b"])
            await page.run("send", "call")
            assert (await client.receive("news")).data == {"text": "Back in a minute"}
        serve = page.take("serve")
        with page.commands(serve) as workers:
            workers.wait_for("listening on port 9000: chat-1, chat-2, chat-3, chat-4", timeout=60)
            workers.interrupt()
        await page.run("serve")


def _refuse(sender: str, data: dict[str, str]) -> None:
    raise EventError("sold-out", "no tea")
