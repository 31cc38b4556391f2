"""Clients of the workers that share a port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from crosswire import Client
from crosswire.types import Close
from tests.integration.cli.program import WAIT_TIMEOUT

_MAX_ATTEMPTS = 64
"""Connections to try until every worker has one, as the kernel distributes them by their ports."""


class Guest:
    """A client that keeps its events, and does not reconnect."""

    def __init__(self, port: int, user: str) -> None:
        self.user = user
        self.client = Client(
            f"ws://127.0.0.1:{port}/",
            params={"id": user},
            call_timeout=WAIT_TIMEOUT,
            ping_interval=None,
            reconnect_policy=lambda _close: False,
        )
        self._heard: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._closed: asyncio.Future[Close] = asyncio.get_running_loop().create_future()
        self.worker, self.pid = "", 0
        for event in ("heard", "poked", "begun", "news"):
            self.client.on(event, self._keeper(event))
        self.client.on_close(self._close)

    async def meet(self) -> None:
        """Connect, and learn which worker it is."""
        await self.client.connect()
        self.worker, self.pid = await self.client.call("where")

    async def hears(self) -> tuple[str, Any]:
        """Return the next event that arrives."""
        return await asyncio.wait_for(self._heard.get(), WAIT_TIMEOUT)

    async def closed(self) -> Close:
        """Wait for the end of the connection; return its code and reason."""
        return await asyncio.wait_for(asyncio.shield(self._closed), WAIT_TIMEOUT)

    def _keeper(self, event: str) -> Callable[[Any], None]:
        def keep(data: Any) -> None:
            self._heard.put_nowait((event, data))

        return keep

    def _close(self, close: Close) -> None:
        if not self._closed.done():
            self._closed.set_result(close)


@asynccontextmanager
async def guest(port: int, user: str = "me") -> AsyncIterator[Guest]:
    """Connect a client for as long as the context lasts."""
    async with AsyncExitStack() as stack:
        one = Guest(port, user)
        stack.push_async_callback(one.client.close)
        await one.meet()
        yield one


@asynccontextmanager
async def guests_of_all(port: int, workers: Collection[str], user: str = "guest") -> AsyncIterator[dict[str, Guest]]:
    """A client of each worker, by the worker's name; there may be more clients than these."""
    async with AsyncExitStack() as stack:
        found: dict[str, Guest] = {}
        for number in range(_MAX_ATTEMPTS):
            one = await stack.enter_async_context(guest(port, f"{user}-{number}"))
            if one.worker not in found:
                found[one.worker] = one
            if set(workers) <= set(found):
                yield found
                return
        raise AssertionError(f"no connection out of {_MAX_ATTEMPTS} came to one of {workers}: {found}")
