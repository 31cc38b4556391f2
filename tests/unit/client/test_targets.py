"""``params`` and ``headers`` that are functions are called for each attempt."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from crosswire.errors import NotConnected
from tests.support.loops import on_instant_loop
from tests.unit.client.fake_client import READY, FakeClient, settle

pytestmark = [on_instant_loop, pytest.mark.usefixtures("half_jitter")]


def numbered() -> Callable[[], dict[str, str]]:
    numbers = iter(range(1, 100))
    return lambda: {"token": f"t{next(numbers)}"}


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_each_attempt_calls_the_functions_for_params_and_headers(is_async: bool) -> None:
    make, fields = numbered(), numbered()

    async def later() -> dict[str, str]:
        await asyncio.sleep(1)
        return make()

    fake = FakeClient(params=later if is_async else make, headers=fields)
    connecting = asyncio.create_task(fake.client.connect())
    await asyncio.sleep(1.5)
    fake.last.fail()
    await asyncio.sleep(3)
    fake.last.open()
    fake.last.receive(READY)
    await connecting
    assert [each.url for each in fake.targets] == [f"ws://test/?token=t{number}&_cw=2&_cw_renew=1" for number in (1, 2)]
    assert [each.headers for each in fake.targets] == [{"token": "t1"}, {"token": "t2"}]
    await fake.client.close()


async def test_positions_stand_behind_the_query_as_they_are() -> None:
    fake = FakeClient(params=numbered())
    connecting = asyncio.create_task(fake.client.connect())
    await asyncio.sleep(1)
    fake.last.open()
    fake.last.receive(READY)
    await connecting
    for number in (1, 2):
        room = {"room": ["chat", str(number)], "at": f"AAAAAAA{number}.7"}
        fake.last.receive(json.dumps({"event": "$room", "payload": room}))
    fake.client.reconnect()
    await asyncio.sleep(1)
    assert fake.targets[-1].url == "ws://test/?token=t2&_cw=2&_cw_renew=1&_cw_at=AAAAAAA2.7,AAAAAAA1.7"
    await fake.client.close()


def fails() -> dict[str, str]:
    raise ZeroDivisionError("no token")


async def fails_later() -> dict[str, str]:
    await asyncio.sleep(0)
    raise TimeoutError("no token")


async def was_cancelled() -> dict[str, str]:
    inner = asyncio.create_task(asyncio.sleep(10))
    inner.cancel()
    await inner
    return {}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (fails, "ZeroDivisionError: no token"),
        (fails_later, "TimeoutError: no token"),
        (was_cancelled, "CancelledError"),
        (lambda: "token=1", "must be a mapping"),
        (lambda: {"token": None}, "token"),
        (lambda: {"token": object()}, "token"),
        (lambda: 13, "must be a mapping"),
    ],
    ids=["raises", "raises later", "cancelled inside", "string", "none in it", "object in it", "number"],
)
@pytest.mark.parametrize("option", ["params", "headers"])
async def test_a_function_that_fails_is_a_failed_attempt(option: str, make: Any, text: str) -> None:
    made: list[None] = []

    def now_and_then() -> Any:
        made.append(None)
        return make() if len(made) < 3 else {"token": "at last"}

    errors: list[BaseException] = []
    fake = FakeClient(**{option: now_and_then})  # type: ignore[arg-type]
    fake.client.on_error(errors.append)
    connecting = asyncio.create_task(fake.client.connect())
    await asyncio.sleep(4)
    assert fake.told == [["error"], ["reconnect", 1, 1.5], ["error"], ["reconnect", 2, 1.5], ["dial"]]
    assert all(isinstance(each, NotConnected) and text in str(each) for each in errors)
    assert all(each.__cause__ is not None for each in errors)
    fake.last.open()
    fake.last.receive(READY)
    await connecting
    await fake.client.close()


async def test_a_function_may_return_none() -> None:
    fake = FakeClient(params=lambda: None, headers=lambda: None)
    connecting = asyncio.create_task(fake.client.connect())
    await settle()
    assert (fake.targets[0].url, fake.targets[0].headers) == ("ws://test/?_cw=2&_cw_renew=1", {})
    await fake.client.close()
    await asyncio.gather(connecting, return_exceptions=True)


@pytest.mark.parametrize("end", ["close", "cancel", "reconnect", "time"])
async def test_a_slow_function_can_be_interrupted(end: str) -> None:
    running: list[str] = []

    async def slow() -> dict[str, str]:
        running.append("begun")
        try:
            await asyncio.sleep(1000)
        finally:
            running.append("ended")
        return {}

    fake = FakeClient(params=slow)
    connecting = asyncio.create_task(fake.client.connect())
    await asyncio.sleep(1)
    if end == "close":
        await fake.client.close()
    elif end == "cancel":
        connecting.cancel()
        await asyncio.wait([connecting])
    elif end == "reconnect":
        fake.client.reconnect()
        await settle()
    else:
        await asyncio.sleep(11)
    assert running[:2] == ["begun", "ended"]
    assert (running == ["begun", "ended"]) is (end in ("close", "cancel"))
    await fake.client.close()
    await asyncio.gather(connecting, return_exceptions=True)
    assert running[-1] == "ended"
    assert fake.connections == []
