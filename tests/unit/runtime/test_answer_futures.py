from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest

from tests.support.aio import wait_until
from tests.support.answers import Asked

who: ContextVar[str] = ContextVar("who", default="nobody")


async def awaited(future: Asked) -> Any:
    """Await a future, as the coroutine of a call does."""
    return await future


async def begin(future: Asked) -> asyncio.Task[Any]:
    """Return a task that waits for a future."""
    task = asyncio.create_task(awaited(future))
    await wait_until(lambda: future.go_on is not None)
    return task


async def test_a_task_gets_the_answer_in_a_later_turn() -> None:
    future = Asked()
    task = await begin(future)
    future.set_result(7)
    assert future.is_done
    assert not task.done()
    assert await task == 7


async def test_a_task_gets_the_error_and_nothing_holds_it_then() -> None:
    future = Asked()
    task = await begin(future)
    future.set_exception(KeyError("no answer"))
    with pytest.raises(KeyError, match="no answer"):
        await task
    assert future.error is None


@pytest.mark.parametrize("end", [lambda future: future.set_result(7), lambda future: future.cancel()])
async def test_what_is_done_is_not_waited_for(end: Callable[[Asked], object]) -> None:
    future = Asked()
    end(future)
    coroutine = awaited(future)
    with pytest.raises((StopIteration, asyncio.CancelledError)):
        coroutine.send(None)


async def test_a_task_that_is_cancelled_stops_waiting_and_a_late_answer_is_ignored() -> None:
    future = Asked()
    task = await begin(future)
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await task
    assert future.is_done
    assert not future.cancel()


async def test_a_task_that_catches_its_cancellation_goes_on() -> None:
    future = Asked()

    async def stubborn() -> str:
        try:
            await future
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            return "caught"
        return "answered"

    task = asyncio.create_task(stubborn())
    await wait_until(lambda: future.go_on is not None)
    task.cancel()
    assert await task == "caught"


async def test_a_timeout_ends_the_wait() -> None:
    future = Asked()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(awaited(future), 0.01)
    assert future.is_done


async def test_the_task_goes_on_in_its_own_context() -> None:
    future = Asked()

    async def named() -> str:
        who.set("task")
        await future
        return who.get()

    task = asyncio.create_task(named())
    await wait_until(lambda: future.go_on is not None)
    who.set("peer")
    future.set_result(7)
    assert await task == "task"


async def test_there_is_no_result_before_the_answer() -> None:
    with pytest.raises(asyncio.InvalidStateError):
        Asked().result()


@pytest.mark.parametrize("in_task", [True, False])
async def test_an_error_is_freed_without_the_garbage_collector(in_task: bool) -> None:
    class Lost(Exception):
        pass

    async def fail() -> weakref.ref[Lost]:
        future = Asked()
        if in_task:
            asyncio.get_running_loop().call_soon(future.set_exception, Lost())
        else:
            future.set_exception(Lost())
        try:
            await future
        except Lost as error:
            return weakref.ref(error)
        raise AssertionError("it was not raised")

    gc.disable()
    try:
        lost = await asyncio.create_task(fail())
        await asyncio.sleep(0)
        assert lost() is None
    finally:
        gc.enable()
