from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from crosswire.core.listeners import EventListeners, Hook, Listener
from crosswire.core.signatures import Arguments
from crosswire.errors import EventError
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.handler_calls import Outcome, call_sync, fire
from tests.support.loops import on_instant_loop

Result = tuple[Any, BaseException | None]
refused = EventError("full")


def call(listener: Listener) -> Any:
    """Call a listener with as many arguments as it takes."""
    return listener.handler(*("socket", "data")[: listener.arity])


async def dispatch(*handlers: Callable[..., Any]) -> tuple[Result, list[BaseException]]:
    """Call handlers as an event of a socket would; return what came of it, and what was reported."""
    events = EventListeners(socket=str)
    for handler in handlers:
        events.on("event", handler)
    failures: list[BaseException] = []
    outcome = Outcome(failures.append)
    rest = call_sync(events.take("event"), call, outcome)
    if rest is not None:
        await rest.run(call, outcome)
    return (outcome.value, outcome.error), failures


def raises(error: BaseException, *, later: bool) -> Callable[[], Any]:
    def now() -> None:
        raise error

    async def soon() -> None:
        await asyncio.sleep(1)
        raise error

    return soon if later else now


def returns(value: Any, *, later: bool) -> Callable[[], Any]:
    async def soon() -> Any:
        await asyncio.sleep(1)
        return value

    return soon if later else lambda: value


both_ways = pytest.mark.parametrize("later", [False, True], ids=["sync", "async"])


@on_instant_loop
async def test_handlers_are_called_in_order_sync_or_async() -> None:
    order: list[str] = []

    async def slow(socket: str) -> None:
        await asyncio.sleep(5)
        order.append("slow")

    async def quick(socket: str) -> None:
        order.append("quick")

    await dispatch(lambda: order.append("first"), slow, lambda: order.append("between"), quick, lambda: slow("socket"))
    assert order == ["first", "slow", "between", "quick", "slow"]


@on_instant_loop
@both_ways
async def test_the_first_value_that_is_not_none_counts(later: bool) -> None:
    result, failures = await dispatch(*(returns(value, later=later) for value in (None, 0, 5)))
    assert result == (0, None)
    assert failures == []


@on_instant_loop
@both_ways
async def test_no_value_is_none(later: bool) -> None:
    assert await dispatch(returns(None, later=later)) == ((None, None), [])


@on_instant_loop
@both_ways
async def test_a_failure_before_any_value_counts_and_the_others_are_called(later: bool) -> None:
    called: list[str] = []
    result, failures = await dispatch(
        returns(None, later=later),
        raises(refused, later=later),
        returns(5, later=later),
        lambda: called.append("last"),
    )
    assert result == (None, refused)
    assert failures == [refused]
    assert called == ["last"]


@on_instant_loop
@both_ways
async def test_a_failure_after_a_value_is_only_reported(later: bool) -> None:
    assert await dispatch(returns(5, later=later), raises(refused, later=later)) == ((5, None), [refused])


@on_instant_loop
@both_ways
async def test_of_several_failures_the_first_counts_and_all_are_reported(later: bool) -> None:
    first, second = KeyError("a"), KeyError("b")
    assert await dispatch(raises(first, later=later), raises(second, later=later)) == ((None, first), [first, second])


@on_instant_loop
@both_ways
async def test_a_handler_that_meets_a_cancelled_future_has_failed(later: bool) -> None:
    cancelled = asyncio.CancelledError()
    result, failures = await dispatch(raises(cancelled, later=later), returns(5, later=later))
    assert result == (None, cancelled)
    assert failures == [cancelled]


@on_instant_loop
async def test_a_cancelled_task_stops_calling_and_says_so() -> None:
    called: list[str] = []

    events = EventListeners(socket=str)
    events.on("event", asyncio.Event().wait)
    events.on("event", lambda: called.append("second"))
    outcome = Outcome(lambda error: None)
    rest = call_sync(events.take("event"), call, outcome)
    assert rest is not None
    task = asyncio.create_task(rest.run(call, outcome))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    value, error = outcome.value, outcome.error
    assert value is None
    assert isinstance(error, asyncio.CancelledError)
    assert called == []


def test_a_continuation_can_be_closed() -> None:
    async def soon() -> None:
        raise AssertionError("this was to be dropped")

    events = EventListeners(socket=str)
    events.on("event", lambda: soon())
    rest = call_sync(events.take("event"), call, Outcome(lambda error: None))
    assert rest is not None
    rest.close()
    assert rest.begun is not None
    with pytest.raises(RuntimeError, match="cannot reuse"):
        rest.begun[1].send(None)


async def test_a_hook_without_listeners_does_nothing() -> None:
    assert fire(Hook("on_connect", Arguments(socket=str)), ("socket",), BackgroundTasks(), lambda error: None) is None


async def test_a_hooks_synchronous_listeners_are_called_at_once_with_what_they_take() -> None:
    seen: list[Any] = []
    hook: Hook[[str, int], [str]] = Hook("on_disconnect", Arguments(socket=str, close=int))
    hook(lambda: seen.append(()), once=True)
    hook(lambda socket, close: seen.append((socket, close)))
    for _ in range(2):
        assert fire(hook, ("socket", 1000), BackgroundTasks(), seen.append) is None
    assert seen == [(), ("socket", 1000), ("socket", 1000)]


@on_instant_loop
async def test_a_hooks_asynchronous_listeners_run_in_a_task_and_fail_apart() -> None:
    seen: list[Any] = []
    tasks = BackgroundTasks()
    hook: Hook[[str]] = Hook("on_connect", Arguments(socket=str))
    failure = KeyError("reason")
    hook(raises(failure, later=False))
    hook(raises(failure, later=True))
    hook(lambda socket: seen.append(socket))
    task = fire(hook, ("socket",), tasks, seen.append)
    assert task is not None
    assert task.get_name() == "crosswire hook on_connect"
    assert seen == [failure]
    assert await tasks.wait(5)
    assert seen[1] is failure
    assert seen[2:] == ["socket"]
