"""docs/command-line.md: two servers to talk to, and one to serve."""

from __future__ import annotations

from crosswire import EventError, Handshake, Server, Socket
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
    two.authenticate(_user)
    two.on("join", _join)
    one.cluster.on("price", lambda sender, data: {"item": data["item"], "cents": 250})
    two.cluster.on("price", _refuse)
    with page.redis("10.0.0.1"):
        async with started(one, two):
            await page.run_block(page.take("nodes"), varying=[r"\b\d+\b"])
            async with connect(two, "/?id=13") as client:
                await client.call("join")
                await page.run_block(page.take("top", "sh"))  # without a terminal it ends by itself
                await page.run_block(page.take("top", "console"), varying=[r"\b\d+(?:\.\d+)?\b"])
                await page.run("users and rooms", "kick")
                assert await client.closed() == (4010, "house rules")
            async with connect(two) as client:
                await page.run("send", "call")
                assert (await client.receive("news")).data == {"text": "Back in a minute"}
        serve = page.take("serve")
        with page.commands(serve) as workers:
            workers.wait_for("listening on port 9000: chat-1, chat-2, chat-3, chat-4", timeout=60)
            workers.interrupt()
        await page.run("serve")


def _user(handshake: Handshake) -> str | None:
    return handshake.query.get("id")


async def _join(socket: Socket) -> None:
    await socket.join("chat", "1000")


def _refuse(sender: str, data: dict[str, str]) -> None:
    raise EventError("sold-out", "no tea")
