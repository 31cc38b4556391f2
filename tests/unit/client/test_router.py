from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from crosswire.client.hooks import Hooks
from crosswire.client.room_table import RoomTable
from crosswire.client.router import Router
from crosswire.core.codecs import JSON
from crosswire.core.listeners import EventListeners
from crosswire.runtime.background_tasks import BackgroundTasks
from tests.support.loops import on_instant_loop


class RouterUnderTest:
    """A router, its handlers, the answers that it sent, and the errors that it reported."""

    def __init__(self) -> None:
        self.tasks = BackgroundTasks()
        self.events = EventListeners()
        self.errors: list[Exception] = []
        self.answers: list[Any] = []
        hooks = Hooks(self.tasks)
        hooks.on_error(self.errors.append)
        self.router = Router(self.events, hooks, self.tasks, RoomTable())

    def receive(self, text: str) -> None:
        def reply(data: bytes) -> None:
            self.answers.append(msgspec.json.decode(data))

        self.router.receive(JSON.decode(text), JSON, reply)


@on_instant_loop
async def test_handlers_begin_in_the_order_of_their_events() -> None:
    client, began = RouterUnderTest(), list[str]()

    async def slow(data: int) -> None:
        began.append(f"slow {data}")
        await asyncio.sleep(1)

    client.events.on("slow", slow)
    client.events.on("quick", lambda data: began.append(f"quick {data}"))
    for number in range(4):
        client.receive(f'{{"event":"{"quick" if number % 2 else "slow"}","payload":{number}}}')
    assert await client.tasks.wait(60)
    assert began == ["slow 0", "quick 1", "slow 2", "quick 3"]


@on_instant_loop
async def test_a_call_is_answered_with_its_id_and_an_event_is_not() -> None:
    client = RouterUnderTest()
    client.events.on("double", lambda data: 2 * data)
    client.receive('{"event":"double","payload":2,"callId":"1"}')
    client.receive('{"event":"double","payload":3}')
    client.receive('{"event":"other","callId":"2"}')
    refusal = {"code": "NO_HANDLER", "message": "no handler for 'other'"}
    assert client.answers == [{"callId": "1", "payload": 4}, {"callId": "2", "error": refusal}]
    assert client.errors == []


@on_instant_loop
async def test_a_handler_added_with_once_stays_if_the_data_does_not_fit() -> None:
    client, seen = RouterUnderTest(), list[int]()

    def wants_number(data: int) -> None:
        seen.append(data)

    client.events.on("x", wants_number, once=True)
    for payload in ('"text"', "5", "6"):
        client.receive(f'{{"event":"x","payload":{payload}}}')
    assert seen == [5]
    assert [type(error).__name__ for error in client.errors] == ["InvalidPayload"]


@on_instant_loop
async def test_handlers_that_have_not_begun_can_be_dropped() -> None:
    client = RouterUnderTest()

    async def later() -> None:
        await asyncio.sleep(1)

    client.events.on("x", later)
    client.receive('{"event":"x"}')
    client.router.drop()
    assert await client.tasks.wait(60)
