"""Runs asynchronous tests, and checks that they leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def run(main: Coroutine[Any, Any, T], loop_factory: LoopFactory | None = None) -> T:
    """Run a coroutine on a loop of its own and return its result.

    Raises:
        AssertionError: tasks are left at its end, or the loop's exception handler was called: an exception was never
            retrieved, a callback failed, a task was destroyed while pending.
    """
    complaints: list[dict[str, Any]] = []
    with asyncio.Runner(debug=False, loop_factory=loop_factory) as runner:
        runner.get_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        result = runner.run(_checked(main))
        gc.collect()
        runner.run(asyncio.sleep(0))
    assert not complaints, complaints
    return result


def synchronous(test: Callable[P, Coroutine[Any, Any, T]], loop_factory: LoopFactory | None = None) -> Callable[P, T]:
    """Return a function that runs an asynchronous one with :func:`run`."""

    @wraps(test)
    def running(*args: P.args, **kwargs: P.kwargs) -> T:
        return run(test(*args, **kwargs), loop_factory)

    return running


async def wait_until(predicate: Callable[[], object], timeout: float = 20) -> None:
    """Wait until ``predicate()`` is true; fail after ``timeout`` seconds."""
    deadline = asyncio.get_running_loop().time() + timeout
    while not predicate():
        assert asyncio.get_running_loop().time() < deadline, f"not within {timeout} s: {predicate}"
        await asyncio.sleep(0.002)


@asynccontextmanager
async def within(timeout: float, awaited: Callable[[], object]) -> AsyncIterator[None]:
    """Fail after ``timeout`` seconds, with what ``awaited()`` returns then: what was awaited, and what was there."""
    deadline = asyncio.timeout(timeout)
    try:
        async with deadline:
            yield
    except TimeoutError as error:
        if not deadline.expired():
            raise
        raise AssertionError(f"not within {timeout} s: {awaited()}") from error


async def _checked(main: Coroutine[Any, Any, T]) -> T:
    result = await main
    await asyncio.sleep(0)  # done callbacks of what ended in this turn
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, left
    return result
