"""The Redis of a port, made by the test."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from crosswire.cluster.redis.address import Address
from crosswire.cluster.redis.endpoints import Endpoints
from tests.support.loops import on_instant_loop


class FakeEndpoint:
    """An endpoint that works at once, and takes a moment to close."""

    healthy = usable = True
    retired = discarded = False
    denied = None
    status = None

    def __init__(self, address: Address, closed: list[str]) -> None:
        self.id = address.id
        self.address = address
        self.publisher = SimpleNamespace(connection=SimpleNamespace(connected=True), ask=self._ask)
        self.subscriber = SimpleNamespace(refusals={})
        self._closed = closed

    def _ask(self, _command: bytes) -> asyncio.Future[None]:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        answer.set_result(None)
        return answer

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        await asyncio.sleep(0.01)
        self._closed.append(self.id)


@pytest.mark.parametrize("turns", range(1, 12))
@on_instant_loop
async def test_a_stop_that_is_cancelled_disconnects_from_all_redis(turns: int) -> None:
    closed, available = list[str](), list[bool]()
    factory: Any = SimpleNamespace(make=lambda address, _embedded, _events: FakeEndpoint(address, closed))
    pool: Any = SimpleNamespace(use=lambda _usable: None, close=lambda: None)
    endpoints = Endpoints(factory, pool, cast(Any, None), redundant=False, available_changed=available.append)
    endpoints.available = True
    await endpoints.start(("redis://a:1", "redis://b:1", "redis://c:1"))
    stopping = asyncio.create_task(endpoints.stop())
    for _ in range(turns):
        await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.wait({stopping})
    await asyncio.sleep(1)
    assert len(closed) == 3
    assert endpoints.count == 0
    assert not endpoints.available
    assert asyncio.all_tasks() == {asyncio.current_task()}
