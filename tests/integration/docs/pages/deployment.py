"""docs/deployment.md: one process, several workers, several machines, and TLS."""

from __future__ import annotations

import pytest

from crosswire import Client, Refused
from tests.integration.docs.page import Page, started
from tests.support.certificates import tls_contexts


async def run(page: Page) -> None:
    page.save(page.take("One process", "python"))
    with page.commands(page.take("One process", "sh")) as serving:
        serving.wait_for("listening on")
        await page.run_block(page.take("One process", "sh"))
        async with Client("ws://127.0.0.1:9000/?id=13") as client:
            client.send("say", "hello")
            await _refused("ws://127.0.0.1:9000/")
        serving.interrupt()
    with page.redis("127.0.0.1"), page.commands(page.take("Several workers")) as workers:
        workers.wait_for(r"(?s)(?:listening on ws.*?){4}")
        workers.interrupt()
    with page.redis("10.0.0.1"), page.commands(page.take("Several machines")) as workers:
        workers.wait_for(r"(?s)(?:listening on ws.*?){4}")
        await page.run_block(page.take("Several machines"))
        workers.interrupt()
    await _run_tls(page)


async def _refused(url: str) -> None:
    with pytest.raises(Refused) as caught:
        await Client(url).connect()
    assert caught.value.code == 4011


async def _run_tls(page: Page) -> None:
    _, trusting = tls_contexts(page.directory)
    await page.run_block(page.take("TLS"))
    async with started(page["server"]), Client("wss://localhost:8443/", tls=trusting):
        pass
    with page.commands(page.take("TLS")) as serving:
        serving.wait_for("listening on wss://")
        async with Client("wss://localhost:8443/?id=13", tls=trusting):
            pass
        serving.interrupt()
