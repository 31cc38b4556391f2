from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from crosswire.core.codecs import JSON
from crosswire.core.listeners import EventListeners
from crosswire.errors import EventError, InvalidPayload
from crosswire.runtime.answering import Answerer
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.handler_counts import SharedHandlerCount
from crosswire.runtime.workers import Workers
from tests.support.loops import on_instant_loop

FULL = EventError("full", "no room")
Handler = Callable[..., Any]


class RecordingCallers:
    """Records the answers and refusals of calls by their id, and what is reported; values must be JSON."""

    def __init__(self) -> None:
        self.got: list[tuple[str, Any]] = []
        self.reported: list[tuple[BaseException, bool, bool]] = []

    def answer(self, sender: str, call: str, value: Any) -> None:
        JSON.encode(value)
        self.got.append((call, value))

    def refuse(self, sender: str, call: str, error: EventError) -> None:
        JSON.encode(error.code)
        self.got.append((call, error.code))

    def busy(self, event: str) -> EventError:
        return EventError("BUSY", event)

    def report(self, sender: str, event: str, error: BaseException, *, awaited: bool, is_answer: bool) -> None:
        self.reported.append((error, awaited, is_answer))


class AnsweringUnderTest:
    """An answerer, its handlers, and the events that are handed to it."""

    def __init__(self, *handlers: Handler, limit: int = 100, **kinds: type) -> None:
        self.events = EventListeners(**kinds or {"subject": str})
        for handler in handlers:
            self.events.on("x", handler)
        self.callers = RecordingCallers()
        self.tasks = BackgroundTasks()
        self.workers = Workers(self.tasks)
        self.count = SharedHandlerCount()
        self.answerer: Answerer[str, str] = Answerer(self.callers, self.events, self.workers, limit)

    def handle(self, call: str | None = "1", payload: bytes = b"5") -> bool:
        listeners = self.events.of("x")
        raw = msgspec.Raw(payload)
        return self.answerer.handle("x", listeners, "subject", JSON, raw, "sender", call, self.count)

    async def end(self) -> tuple[list[tuple[str, Any]], list[tuple[BaseException, bool, bool]]]:
        assert await self.tasks.wait(60)
        assert self.count.running == 0
        return self.callers.got, self.callers.reported


def now(handler: Handler) -> Handler:
    return handler


def later(handler: Handler) -> Handler:
    async def waiting(subject: str, data: Any) -> Any:
        await asyncio.sleep(1)
        return handler(subject, data)

    return waiting


def coroutine(handler: Handler) -> Handler:
    return lambda subject, data: later(handler)(subject, data)


def raising(error: BaseException) -> Handler:
    def handler(subject: str, data: Any) -> None:
        raise error

    return handler


ways = pytest.mark.parametrize("way", [now, later, coroutine])


@on_instant_loop
async def test_a_handler_gets_as_many_arguments_as_it_takes() -> None:
    seen: list[Any] = []
    handlers: list[Handler] = [lambda: seen.append(()), lambda s: seen.append((s,)), lambda s, d: seen.append((s, d))]
    for handler in handlers:
        AnsweringUnderTest(handler).handle()
    AnsweringUnderTest(*handlers).handle()
    assert seen == [(), ("subject",), ("subject", 5)] * 2


def test_a_handler_of_events_without_a_subject_gets_the_data_alone() -> None:
    seen: list[Any] = []
    tested = AnsweringUnderTest()
    tested.events = EventListeners()
    tested.events.on("x", lambda: seen.append(()))
    tested.events.on("x", lambda data: seen.append((data,)))
    tested.handle()
    assert seen == [(), (5,)]


@ways
@on_instant_loop
async def test_a_call_is_answered_and_an_event_is_not(way: Callable[[Handler], Handler]) -> None:
    tested = AnsweringUnderTest(way(lambda subject, data: [subject, data]))
    tested.handle()
    tested.handle(call=None)
    assert await tested.end() == ([("1", ["subject", 5])], [])


@ways
@on_instant_loop
async def test_a_refusal_is_passed_on_and_of_a_failure_only_that_there_was_one(
    way: Callable[[Handler], Handler],
) -> None:
    failure = KeyError("secret")
    for error, code in ((FULL, "full"), (failure, "HANDLER_ERROR")):
        tested = AnsweringUnderTest(way(raising(error)))
        tested.handle()
        assert await tested.end() == ([("1", code)], [(error, True, True)])
        tested = AnsweringUnderTest(way(raising(error)))
        tested.handle(call=None)
        assert await tested.end() == ([], [(error, False, False)])


@ways
@on_instant_loop
async def test_a_value_or_a_refusal_that_can_not_be_sent_is_a_failure(way: Callable[[Handler], Handler]) -> None:
    odd = EventError(object(), "text")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    for handler, reports in ((lambda subject, data: object(), 1), (raising(odd), 2)):
        tested = AnsweringUnderTest(way(handler))
        tested.handle()
        got, reported = await tested.end()
        assert got == [("1", "HANDLER_ERROR")]
        assert len(reported) == reports
        assert isinstance(reported[-1][0], TypeError)


@ways
@on_instant_loop
async def test_data_that_does_not_fit_is_refused(way: Callable[[Handler], Handler]) -> None:
    def wants_text(subject: str, data: str) -> str:
        return data

    async def wants_text_later(subject: str, data: str) -> str:
        return data

    tested = AnsweringUnderTest(wants_text if way is now else wants_text_later)
    tested.handle()
    got, [(error, *answered)] = await tested.end()
    assert got == [("1", "INVALID_PAYLOAD")]
    assert isinstance(error, InvalidPayload)
    assert answered == [True, True]


@ways
@on_instant_loop
async def test_several_handlers_give_one_answer(way: Callable[[Handler], Handler]) -> None:
    called: list[str] = []
    tested = AnsweringUnderTest(
        lambda: None, way(lambda subject, data: "first"), raising(FULL), lambda subject: called.append("last")
    )
    tested.handle()
    got, reported = await tested.end()
    assert got == [("1", "first")]
    assert reported == [(FULL, True, False)]  # the caller has its answer already
    assert called == ["last"]


@ways
@on_instant_loop
async def test_the_first_refusal_of_several_handlers_is_told(way: Callable[[Handler], Handler]) -> None:
    tested = AnsweringUnderTest(lambda: None, way(raising(FULL)), lambda: "late")
    tested.handle()
    assert await tested.end() == ([("1", "full")], [(FULL, True, True)])


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("way", [later, coroutine])
@on_instant_loop
async def test_more_asynchronous_handlers_than_the_limit_are_refused(
    several: bool, way: Callable[[Handler], Handler]
) -> None:
    handler = way(lambda subject, data: data)
    tested = AnsweringUnderTest(*([lambda: None, handler] if several else [handler]), limit=2)
    assert [tested.handle(str(number)) for number in range(3)] == [True, True, False]
    tested.handle(None)
    got, [(first, *call), (second, *event)] = await tested.end()
    assert got == [("2", "BUSY"), ("0", 5), ("1", 5)]
    assert (str(first), str(second)) == ("BUSY: x", "BUSY: x")
    assert (call, event) == ([True, True], [False, False])
    assert tested.handle("after")
    assert (await tested.end())[0][-1] == ("after", 5)


@on_instant_loop
async def test_handlers_begin_in_the_order_of_their_events() -> None:
    began: list[str] = []

    async def slow(subject: str, data: Any) -> None:
        began.append(f"slow {data}")
        await asyncio.sleep(1)

    tested = AnsweringUnderTest(slow)
    tested.events.on("y", lambda subject, data: began.append(f"quick {data}"))
    for number in range(4):
        payload = msgspec.Raw(str(number).encode())
        listeners = tested.events.of("y" if number % 2 else "x")
        tested.answerer.handle("any", listeners, "subject", JSON, payload, "sender", None, tested.count)
    await tested.end()
    assert began == ["slow 0", "quick 1", "slow 2", "quick 3"]


def once_text(seen: list[Any], *, later: bool) -> Handler:
    def plain(subject: str, data: str) -> None:
        seen.append(data)

    async def waiting(subject: str, data: str) -> None:
        seen.append(data)

    return waiting if later else plain


@pytest.mark.parametrize("later", [False, True])
@on_instant_loop
async def test_a_handler_added_with_once_is_used_up_by_an_event_that_reaches_it(later: bool) -> None:
    seen: list[Any] = []
    tested = AnsweringUnderTest()
    tested.events.on("x", once_text(seen, later=later), once=True)
    tested.handle(None)  # the data does not fit
    assert tested.events.of("x")
    tested.handle(None, b'"text"')
    assert not tested.events.of("x")
    await tested.end()
    assert seen == ["text"]


@on_instant_loop
async def test_an_event_that_is_dropped_as_too_many_are_at_work_uses_up_no_handler() -> None:
    seen: list[Any] = []
    tested = AnsweringUnderTest(limit=1)
    tested.events.on("x", once_text(seen, later=True), once=True)
    tested.count.running = 1
    tested.handle(None, b'"text"')
    assert tested.events.of("x")
    tested.count.running = 0
    tested.handle(None, b'"text"')
    await tested.end()
    assert seen == ["text"]


@pytest.mark.parametrize("count", [1, 2])
@on_instant_loop
async def test_a_handler_that_is_cancelled_answers(count: int) -> None:
    async def never(subject: str) -> None:
        await asyncio.Event().wait()

    tested = AnsweringUnderTest(*[never] * count)
    tested.handle()
    await asyncio.sleep(1)
    await tested.tasks.cancel()
    got, [(error, *answered)] = await tested.end()
    assert got == [("1", "HANDLER_ERROR")]
    assert isinstance(error, asyncio.CancelledError)
    assert answered == [True, True]


@on_instant_loop
async def test_a_plain_function_may_return_any_awaitable_if_it_says_so() -> None:
    def soon(subject: str, data: int) -> Awaitable[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(1, future.set_result, data)
        return future

    tested = AnsweringUnderTest(soon)
    tested.handle()
    assert await tested.end() == ([("1", 5)], [])
