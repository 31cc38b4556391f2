"""docs/delivery.md: the pattern for what must not be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
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
        self.close: Callable[[], Awaitable[object]] | None = None

    async def insert_unless_known(self, key: str, order: _Order) -> SimpleNamespace:
        if (close := self.close) is not None:
            self.close = None
            await close()
        return SimpleNamespace(number=self._numbers.setdefault(key, len(self._numbers) + 1))


async def run(page: Page) -> None:
    server, connected, orders = Server(port=9000), asyncio.Event(), _Orders()
    page.names |= {"server": server, "Socket": Socket, "Order": _Order, "orders": orders}
    page.names |= {"connected": connected, "CallTimeout": CallTimeout, "NotConnected": NotConnected}
    page.names["client"] = client = Client("ws://localhost:9000", fast_interval=0.01)
    client.on_open(connected.set)
    client.on_close(lambda: connected.clear())
    await page.run()
    async with started(server), client:
        assert await page["place"]({"id": "a"}) == {"number": 1}
        orders.close = server.everyone.close  # the next order is handled, and its answer is lost
        assert await page["place"]({"id": "b"}) == {"number": 2}
        assert await page["place"]({"id": "a"}) == {"number": 1}
