"""docs/from-other-processes.md: an emitter, beside a server and a node on the same Redis."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from crosswire import BusUnavailable, Node, Server
from crosswire.testing import connect
from tests.integration.docs.page import Page, started


class Celery(ModuleType):
    """The part of Celery that the page uses; it is not installed for the tests."""

    @staticmethod
    def shared_task(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        assert options == {"autoretry_for": (BusUnavailable,), "retry_backoff": True}
        return lambda function: function


async def run(page: Page) -> None:
    with page.redis("127.0.0.1"):
        url = "redis://127.0.0.1:6379"
        server, node, refreshed = Server(port=0, redis=url), Node("worker", redis=url), list[dict[str, int]]()
        server.history("orders", size=100, ttl=300)
        server.authenticate(lambda handshake: handshake.query["id"])
        node.on("refresh", lambda sender, data: refreshed.append(data))
        node.on("resize", lambda sender, data: data)
        async with started(server, node), connect(server, "/?id=13") as member:
            await server.room("chat", "1000").add("13")
            await page.run("Emitter")
            assert (await member.receive("paid")).data == {"order": 7}
            assert (await member.receive("said")).data == {"text": "hi"}
            assert (await member.receive("news")).data == {"text": "hi"}
            assert refreshed == [{"page": 2}]
            await server.room("orders", "17").add("13")
            await page.run("Rooms that keep history")
            assert [(await member.receive("paid")).data for _ in range(2)] == [{"amount": 20}] * 2
            page_of_room = await server.room("orders", "17").history()
            assert [each.position for each in page_of_room.messages[1:]] == [page["position"]]
            sys.modules["celery"], os.environ["REDIS_URL"] = Celery("celery"), url
            await page.run("Django and Celery")
            await asyncio.to_thread(page["render"], "13", "a.pdf")
            for percent in (50, 100):
                assert (await member.receive("progress")).data == {"document": "a.pdf", "percent": percent}
            await asyncio.to_thread(asyncio.run, page.run("Asking"))
            assert (await member.closed()).code == 4010
