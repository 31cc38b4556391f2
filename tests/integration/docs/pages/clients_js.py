"""clients/js/README.md: the example with a server that has its events."""

from __future__ import annotations

from crosswire import Server, Socket
from tests.integration.docs.page import Page, started
from tests.integration.docs.proxy import tls_proxy

_AFTER = "client.close();"


async def run(page: Page) -> None:
    server = Server(port=9000)
    answers: list[str] = []

    @server.on("say")
    async def say(socket: Socket, data: dict[str, str]) -> dict[str, str]:
        socket.send("news", {"text": "fresh"})
        answers.append(await socket.call("question", 42))
        return {"msg": "hello"}

    @server.on("typing")
    def typing(socket: Socket, data: dict[str, str]) -> None:
        answers.append(data["room"])

    async with started(server), tls_proxy(page.directory, page.environment):
        printed = await page.run_script(page.take("crosswire-client"), after=_AFTER)
    assert printed.splitlines()[0] == "fresh"
    assert answers == ["1000", "42!"]
