from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from crosswire.cluster.responder import Responder
from crosswire.core import envelopes
from crosswire.core.listeners import EventListeners
from crosswire.core.messages import MSGPACK
from crosswire.errors import EventError
from crosswire.runtime.background_tasks import BackgroundTasks


class FakeAsker:
    """Notes its answers and refusals."""

    def __init__(self, *, awaits_node: bool = True) -> None:
        self.awaits_node = awaits_node
        self.got: list[Any] = []

    def answer(self, value: Any) -> None:
        envelopes.pack(value)
        self.got.append(value)

    def refuse(self, error: EventError) -> None:
        self.got.append((error.code, error.message))


class ResponderUnderTest:
    """A responder, its handlers, and what was asked of it."""

    def __init__(self, max_handlers: int = 1000) -> None:
        self.events = EventListeners(sender=str)
        self.tasks = BackgroundTasks()
        self.responder = Responder(self.events, self.tasks, max_handlers=max_handlers)

    def ask(self, data: Any = None, event: str = "x", *, awaits_node: bool = True) -> FakeAsker:
        asker = FakeAsker(awaits_node=awaits_node)
        self.responder.request(asker, "a", event, MSGPACK, envelopes.pack(data))
        return asker

    def tell(self, data: Any = None, event: str = "x") -> None:
        self.responder.event("a", event, MSGPACK, envelopes.pack(data))


def refuse() -> None:
    raise EventError("full", "no room")


def fail() -> None:
    raise RuntimeError("secret")


def wants_int(sender: str, data: int) -> int:
    return data + 1


async def later(sender: str, data: Any) -> Any:
    await asyncio.sleep(0)
    return data


async def refuse_later() -> None:
    await asyncio.sleep(0)
    refuse()


async def fail_later() -> None:
    await asyncio.sleep(0)
    fail()


ANSWERS: list[tuple[list[Callable[..., Any]], Any, Any]] = [
    ([lambda: None], 1, None),
    ([lambda sender: sender], 1, "a"),
    ([lambda sender, data: [sender, data]], 1, ["a", 1]),
    ([lambda: later("a", 5)], 1, 5),  # a plain function that returns a coroutine
    ([later], 1, 1),
    ([lambda: None, later, lambda: 3], 1, 1),  # the first value that is not None
    ([lambda: None, lambda: 2, lambda: 3], 1, 2),
    ([wants_int], 1, 2),
    ([refuse], 1, ("full", "no room")),
    ([refuse_later], 1, ("full", "no room")),
    ([fail], 1, ("HANDLER_ERROR", "the handler failed")),
    ([fail_later], 1, ("HANDLER_ERROR", "the handler failed")),
    ([lambda: object()], 1, ("HANDLER_ERROR", "the handler failed")),
    ([], 1, ("NO_HANDLER", "the node has no handler for this event")),
]


@pytest.mark.parametrize("number", range(len(ANSWERS)))
async def test_a_request_is_answered_once_whatever_the_handler_does(number: int) -> None:
    handlers, data, expected = ANSWERS[number]

    scene = ResponderUnderTest()
    for handler in handlers:
        scene.events.on("x", handler)
    asker = scene.ask(data)
    await scene.tasks.wait(5)
    assert asker.got == [expected]


def test_a_request_without_a_handler_is_left_to_others_if_it_does_not_wait_for_this_node() -> None:
    asker = ResponderUnderTest().ask(awaits_node=False)
    assert asker.got == []


def test_a_payload_of_the_wrong_type_is_refused() -> None:
    scene = ResponderUnderTest()
    scene.events.on("x", wants_int)
    ((code, _),) = scene.ask("no number").got
    assert code == "INVALID_PAYLOAD"


@pytest.mark.parametrize("handler", [refuse, fail, wants_int, refuse_later, fail_later])
async def test_what_an_event_without_an_asker_comes_to_is_logged(
    handler: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    scene = ResponderUnderTest()
    scene.events.on("x", handler)
    scene.tell("no number")
    await scene.tasks.wait(5)
    failed = handler in (fail, fail_later)
    assert [record.levelname for record in caplog.records] == ["ERROR" if failed else "WARNING"]
    assert "'x'" in caplog.text
    assert "no number" not in caplog.text


def test_a_refusal_that_is_told_to_somebody_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    scene = ResponderUnderTest()
    scene.events.on("x", refuse)
    scene.ask()
    assert caplog.records == []


def test_an_event_that_nobody_handles_is_logged_once_a_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    scene = ResponderUnderTest()
    for _ in range(3):
        scene.tell()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "no handler for the nodes' event 'x'" in record.getMessage()


def test_failures_of_the_same_kind_are_not_all_logged(caplog: pytest.LogCaptureFixture) -> None:
    scene = ResponderUnderTest()
    scene.events.on("x", fail)
    for _ in range(1000):
        scene.tell()
    assert 1 <= len(caplog.records) < 20


async def test_handlers_begin_in_the_order_of_their_events() -> None:
    scene, began = ResponderUnderTest(), list[int]()

    async def slow(sender: str, data: int) -> None:
        began.append(data)
        await asyncio.sleep(0)

    scene.events.on("slow", slow)
    scene.events.on("quick", lambda sender, data: began.append(data))
    for number in range(20):
        scene.tell(number, "slow" if number % 3 == 0 else "quick")
    await scene.tasks.wait(5)
    assert began == list(range(20))


@pytest.mark.parametrize("begun", [False, True])
async def test_too_many_handlers_at_once_are_refused(begun: bool, caplog: pytest.LogCaptureFixture) -> None:
    scene, end = ResponderUnderTest(max_handlers=2), asyncio.Event()
    scene.events.on("x", lambda: end.wait())
    askers = [scene.ask() for _ in range(2)]
    for _ in range(5 if begun else 0):
        await asyncio.sleep(0)
    askers.append(scene.ask())
    scene.tell()
    end.set()
    await scene.tasks.wait(5)
    assert [asker.got for asker in askers[:2]] == [[True], [True]]
    assert askers[2].got[0][0] == "BUSY"
    assert "dropped" in caplog.text
    after = scene.ask()
    await scene.tasks.wait(5)
    assert after.got == [True]  # there is room again


def test_once_is_removed_before_it_is_called() -> None:
    scene = ResponderUnderTest()
    scene.events.on("x", lambda sender, data: data, once=True)
    assert scene.ask(1).got == [1]
    assert scene.ask(2).got[0][0] == "NO_HANDLER"


async def test_a_handler_that_is_cancelled_answers() -> None:
    scene, never = ResponderUnderTest(), asyncio.Event()
    scene.events.on("x", lambda: never.wait())
    asker = scene.ask()
    await asyncio.sleep(0)
    await scene.tasks.cancel()
    assert [code for code, _ in asker.got] == ["HANDLER_ERROR"]


async def test_events_that_are_dropped_before_they_begin_leave_room_for_others() -> None:
    scene = ResponderUnderTest(max_handlers=2)
    scene.events.on("x", later)
    for _ in range(2):
        scene.ask()
    scene.responder.drop()
    await scene.tasks.wait(5)
    asker = scene.ask(5)
    await scene.tasks.wait(5)
    assert asker.got == [5]
