from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from crosswire.cluster.responder import Responder
from crosswire.core import envelopes
from crosswire.core.codecs import MSGPACK
from crosswire.core.listeners import EventListeners
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

    tested = ResponderUnderTest()
    for handler in handlers:
        tested.events.on("x", handler)
    asker = tested.ask(data)
    await tested.tasks.wait(5)
    assert asker.got == [expected]


def test_a_request_without_a_handler_is_left_to_others_if_it_does_not_wait_for_this_node() -> None:
    asker = ResponderUnderTest().ask(awaits_node=False)
    assert asker.got == []


def test_a_payload_of_the_wrong_type_is_refused() -> None:
    tested = ResponderUnderTest()
    tested.events.on("x", wants_int)
    ((code, _),) = tested.ask("no number").got
    assert code == "INVALID_PAYLOAD"


@pytest.mark.parametrize("handler", [refuse, fail, wants_int, refuse_later, fail_later])
async def test_the_failure_of_an_event_is_logged(handler: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    tested = ResponderUnderTest()
    tested.events.on("x", handler)
    tested.tell("no number")
    await tested.tasks.wait(5)
    failed = handler in (fail, fail_later)
    assert [record.levelname for record in caplog.records] == ["ERROR" if failed else "WARNING"]
    assert "'x'" in caplog.text
    assert "no number" not in caplog.text


def test_a_refusal_that_reaches_its_asker_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    tested = ResponderUnderTest()
    tested.events.on("x", refuse)
    tested.ask()
    assert caplog.records == []


def test_an_event_without_a_handler_is_logged_once_for_each_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tested = ResponderUnderTest()
    for _ in range(3):
        tested.tell()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "no handler for the nodes' event 'x'" in record.getMessage()


def test_failures_of_the_same_kind_are_not_all_logged(caplog: pytest.LogCaptureFixture) -> None:
    tested = ResponderUnderTest()
    tested.events.on("x", fail)
    for _ in range(1000):
        tested.tell()
    assert 1 <= len(caplog.records) < 20


async def test_handlers_begin_in_the_order_of_their_events() -> None:
    tested, began = ResponderUnderTest(), list[int]()

    async def slow(sender: str, data: int) -> None:
        began.append(data)
        await asyncio.sleep(0)

    tested.events.on("slow", slow)
    tested.events.on("quick", lambda sender, data: began.append(data))
    for number in range(20):
        tested.tell(number, "slow" if number % 3 == 0 else "quick")
    await tested.tasks.wait(5)
    assert began == list(range(20))


@pytest.mark.parametrize("begun", [False, True])
async def test_too_many_handlers_at_once_are_refused(begun: bool, caplog: pytest.LogCaptureFixture) -> None:
    tested, end = ResponderUnderTest(max_handlers=2), asyncio.Event()
    tested.events.on("x", lambda: end.wait())
    askers = [tested.ask() for _ in range(2)]
    for _ in range(5 if begun else 0):
        await asyncio.sleep(0)
    askers.append(tested.ask())
    tested.tell()
    end.set()
    await tested.tasks.wait(5)
    assert [asker.got for asker in askers[:2]] == [[True], [True]]
    assert askers[2].got[0][0] == "BUSY"
    assert "dropped" in caplog.text
    after = tested.ask()
    await tested.tasks.wait(5)
    assert after.got == [True]  # there is room again


def test_a_handler_added_with_once_is_removed_before_its_call() -> None:
    tested = ResponderUnderTest()
    tested.events.on("x", lambda sender, data: data, once=True)
    assert tested.ask(1).got == [1]
    assert tested.ask(2).got[0][0] == "NO_HANDLER"


async def test_a_handler_that_is_cancelled_answers() -> None:
    tested, never = ResponderUnderTest(), asyncio.Event()
    tested.events.on("x", lambda: never.wait())
    asker = tested.ask()
    await asyncio.sleep(0)
    await tested.tasks.cancel()
    assert [code for code, _ in asker.got] == ["HANDLER_ERROR"]


async def test_dropped_events_leave_room_for_others() -> None:
    tested = ResponderUnderTest(max_handlers=2)
    tested.events.on("x", later)
    for _ in range(2):
        tested.ask()
    tested.responder.drop()
    await tested.tasks.wait(5)
    asker = tested.ask(5)
    await tested.tasks.wait(5)
    assert asker.got == [5]
