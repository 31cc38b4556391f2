"""The Redis of a port, made by the test."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from crosswire.cluster.redis.address import Address
from crosswire.cluster.redis.endpoints import Endpoints
from crosswire.errors import BusUnavailable
from tests.support.loops import on_instant_loop


class FakeEndpoint:
    """An endpoint that works at once, and takes a moment to close."""

    healthy = usable = True
    discarded = False
    denied = last_error = None
    status = None

    def __init__(self, address: Address, closed: list[str]) -> None:
        self.id = address.id
        self.address = address
        self.publisher = SimpleNamespace(connection=SimpleNamespace(connected=True), ask=self._ask)
        self.subscriber = SimpleNamespace(refusals={})
        self.adding = 0
        self.retired_by: set[object] = set()
        self._closed = closed

    @property
    def retired(self) -> bool:
        return bool(self.retired_by)

    def _ask(self, _command: bytes) -> asyncio.Future[None]:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        answer.set_result(None)
        return answer

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        await asyncio.sleep(0.01)
        self._closed.append(self.id)


class SlowEndpoint(FakeEndpoint):
    """An endpoint whose Redis acknowledges nothing."""

    def _ask(self, _command: bytes) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()


def make_endpoints(kind: type[FakeEndpoint], closed: list[str], available: list[bool]) -> Endpoints:
    factory: Any = SimpleNamespace(make=lambda address, _embedded, _events: kind(address, closed))
    pool: Any = SimpleNamespace(use=lambda _usable: None, close=lambda: None)
    events: Any = SimpleNamespace(paths_changed=lambda: None)
    endpoints = Endpoints(factory, pool, events, redundant=False, available_changed=available.append)
    endpoints.available = True
    return endpoints


@pytest.mark.parametrize("turns", range(1, 12))
@on_instant_loop
async def test_a_stop_that_is_cancelled_disconnects_from_all_redis(turns: int) -> None:
    closed, available = list[str](), list[bool]()
    endpoints = make_endpoints(FakeEndpoint, closed, available)
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


@pytest.mark.parametrize("cancelled", [0, 1])
@on_instant_loop
async def test_a_cancelled_removal_leaves_another_one_of_the_same_redis_alone(cancelled: int) -> None:
    closed = list[str]()
    endpoints = make_endpoints(SlowEndpoint, closed, [])
    await endpoints.start(("redis://a:1", "redis://b:1"))
    removals = [asyncio.create_task(endpoints.remove("redis://b:1")) for _ in range(2)]
    await asyncio.sleep(0.1)
    removals[cancelled].cancel()
    await asyncio.wait(removals)
    assert removals[1 - cancelled].exception() is None
    assert endpoints.urls == ["redis://a:1"]
    await endpoints.stop()


@on_instant_loop
async def test_a_redis_stays_in_use_once_all_its_removals_were_cancelled_or_it_was_added_again() -> None:
    endpoints = make_endpoints(SlowEndpoint, [], [])
    await endpoints.start(("redis://a:1", "redis://b:1"))
    removals = [asyncio.create_task(endpoints.remove("redis://b:1")) for _ in range(2)]
    await asyncio.sleep(0.1)
    for removal in removals:
        assert [each.retired for each in endpoints.used] == [False, True]
        removal.cancel()
        await asyncio.wait({removal})
    assert [each.retired for each in endpoints.used] == [False, False]
    removals = [asyncio.create_task(endpoints.remove("redis://b:1")) for _ in range(2)]
    await asyncio.sleep(0.1)
    await endpoints.add("redis://b:1")
    removals[1].cancel()
    await asyncio.wait(removals)
    assert [each.retired for each in endpoints.used] == [False, False]
    await endpoints.stop()


@pytest.mark.parametrize("cancelled", [0, 1])
@on_instant_loop
async def test_a_cancelled_addition_leaves_another_one_of_the_same_redis_alone(
    cancelled: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoints = make_endpoints(FakeEndpoint, [], [])
    await endpoints.start(("redis://a:1",))
    monkeypatch.setattr(FakeEndpoint, "healthy", False)
    additions = [asyncio.create_task(endpoints.add("redis://b:1")) for _ in range(2)]
    await asyncio.sleep(0.1)
    additions[cancelled].cancel()
    await asyncio.wait({additions[cancelled]})
    monkeypatch.setattr(FakeEndpoint, "healthy", True)
    endpoints._changed.set()
    await additions[1 - cancelled]
    assert [each.retired for each in endpoints.used] == [False, False]
    await endpoints.stop()


@on_instant_loop
async def test_a_redis_is_not_used_once_all_its_additions_have_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoints = make_endpoints(FakeEndpoint, [], [])
    await endpoints.start(("redis://a:1",))
    monkeypatch.setattr(FakeEndpoint, "healthy", False)
    additions = [asyncio.create_task(endpoints.add("redis://b:1")) for _ in range(2)]
    await asyncio.sleep(0.1)
    additions[0].cancel()
    await asyncio.wait(additions)
    assert isinstance(additions[1].exception(), BusUnavailable)
    assert endpoints.urls == ["redis://a:1"]
    await endpoints.stop()
