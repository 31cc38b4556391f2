"""docs/state.md: a document, the worker that a client is connected to, and its owner, before and after a move."""

from __future__ import annotations

import asyncio

import pytest

from crosswire import EventError, Redis
from crosswire.testing import connect
from tests.integration.cluster.scripted_node import scripted_node
from tests.integration.docs.page import Page, started
from tests.support.aio import wait_until


async def run(page: Page) -> None:
    with page.redis("10.0.0.1"):
        await page.run("The owner of a room", "What the owner does", "Who may own")
        server, docs, database = page["server"], page["docs"], page["database"]
        async with started(server, page["resizer"]), connect(server) as client:
            assert await client.call("edit", {"id": "a", "add": "x"}) == {"version": 1, "text": "x"}
            assert await client.call("edit", {"id": "a", "add": "y"}) == {"version": 2, "text": "xy"}
            assert [(await client.receive("edited")).data["text"] for _ in range(2)] == ["x", "xy"]
            await database.hset("doc:a", mapping={"version": 9, "text": "of another owner"})
            with pytest.raises(EventError, match="try-again"):
                await client.call("edit", {"id": "a", "add": "z"})
            assert await client.call("edit", {"id": "a", "add": "!"}) == {"version": 10, "text": "of another owner!"}
            ids = [str(number) for number in range(20)]
            for id_ in ids:
                await client.call("edit", {"id": id_, "add": "x"})
            async with scripted_node(Redis("redis://10.0.0.1:6379"), "other") as other:
                await wait_until(lambda: "other" in server.cluster.nodes)
                theirs = {id_ for id_ in ids if server.cluster.owner("doc", id_) == "other"}
                assert theirs
                await wait_until(lambda: not theirs & docs.keys())
                editing = asyncio.create_task(client.call("edit", {"id": min(theirs), "add": "x"}))
                await wait_until(lambda: other.requests)
                other.say_goodbye()
                assert await editing == {"version": 2, "text": "xx"}
        await database.aclose()
