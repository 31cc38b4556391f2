"""docs/history.md: a server over Redis, and clients that go and come back while others speak."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import pytest

from crosswire import Client, EventError, RoomState, Server, Socket
from tests.integration.docs.page import Page, started
from tests.support.aio import wait_until

_BEFORE = """
let lines = 0;
const log = console.log;
console.log = (...texts: unknown[]) => {
  lines += 1;
  log(...texts);
};
"""
_AFTER = """
while (lines < 4) await new Promise((resolve) => setTimeout(resolve, 10));
await client.close();
"""


async def run(page: Page) -> None:
    page.names |= {"EventError": EventError}
    with page.redis("10.0.0.1"):
        beginning = "In ten lines"
        await page.run_block(page.take(beginning, "python"))
        await page.run("Publishing, once", "Pages of older messages")
        server: Server = page["server"]
        server.on("notes", _notes)
        async with started(server):
            await _miss_something(page, server, beginning)
            await _come_from_typescript(page, beginning)
            await _publish_and_turn_pages()
            await _load_snapshots(page, server)
            await page.run("What it costs")


async def _miss_something(page: Page, server: Server, section: str) -> None:
    with _printed() as printed:
        await page.run_block(page.take(section, "python"))
        client: Client = page["client"]
        room = server.room("chat", "1")
        async with client:
            await client.call("say", {"room": "1", "id": "a", "text": "heard"})
            await wait_until(lambda: _lines(printed) == ["1 None None", "heard"])
        room.send("said", {"id": "b", "text": "missed"})
        await room.publish("said", {"id": "c", "text": "missed too"})
        async with client:
            await wait_until(lambda: _lines(printed)[2:] == ["1 True None", "missed", "missed too"])


async def _come_from_typescript(page: Page, section: str) -> None:
    printed = await page.run_script(page.take(section, "ts"), before=_BEFORE, after=_AFTER)
    assert printed.splitlines() == ["1 null null", "heard", "missed", "missed too"]


async def _publish_and_turn_pages() -> None:
    async with Client("ws://localhost:9000") as client:
        kept = [await client.call("order", {"number": 17, "text": "tea"}) for _ in range(2)]
        assert kept[0] == kept[1] != {"kept": None}
        with pytest.raises(EventError, match="join the room first"):
            await client.call("older", {"room": "1"})
        await client.call("join", "1")
        page = await client.call("older", {"room": "1"})
        assert (page["messages"][0]["text"], page["complete"]) == ("heard", True)
        before = page["messages"][1]["position"]
        older = await client.call("older", {"room": "1", "before": before})
        assert [each["text"] for each in older["messages"]] == ["heard"]


def _notes(_: Socket, data: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"id": data["room"], "version": 3}]


async def _load_snapshots(page: Page, server: Server) -> None:
    client: Client = page["client"]
    await page.run("When it is not recovered")
    await page["load"](RoomState("chat", "1", False, "epoch"))
    assert page["is_stale"]  # there was no connection
    async with client:
        await wait_until(lambda: page["notes"] == {"1": {"id": "1", "version": 3}})
        assert not page["is_stale"]
        for version in (2, 4):
            server.room("chat", "1").send("noted", {"id": "1", "version": version})
        await wait_until(lambda: page["notes"]["1"]["version"] == 4)


@contextlib.contextmanager
def _printed() -> Iterator[io.StringIO]:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        yield printed


def _lines(printed: io.StringIO) -> list[str]:
    return printed.getvalue().splitlines()
