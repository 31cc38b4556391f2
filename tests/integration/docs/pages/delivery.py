"""docs/delivery.md: the pattern for what must not be lost."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import msgspec

from crosswire import CallTimeout, Client, NotConnected, Server, Socket
from tests.integration.docs.page import Page, started


class _Order(msgspec.Struct):
    """An order, as a client sends it."""

    id: str


class _Orders:
    """A table of orders."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    async def insert_unless_known(self, key: str, order: _Order) -> SimpleNamespace:
        return SimpleNamespace(number=self._numbers.setdefault(key, len(self._numbers) + 1))


async def run(page: Page) -> None:
    server, connected = Server(port=9000), asyncio.Event()
    page.names |= {"server": server, "Socket": Socket, "Order": _Order, "orders": _Orders()}
    page.names |= {"connected": connected, "CallTimeout": CallTimeout, "NotConnected": NotConnected}
    page.names["client"] = client = Client("ws://localhost:9000")
    client.on_open(connected.set)
    await page.run()
    async with started(server), client:
        assert [await page["place"]({"id": key}) for key in ("a", "b", "a")] == [
            {"number": 1},
            {"number": 2},
            {"number": 1},
        ]
