from __future__ import annotations

import asyncio
from contextvars import Context, ContextVar, copy_context
from typing import Any

import pytest

from crosswire.core.listeners import EventListeners
from crosswire.runtime.contexts import run_in
from crosswire.runtime.handler_calls import Outcome, call_sync
from crosswire.testing.virtual_clock import VirtualClockLoop
from tests.support.aio import run
from tests.support.loops import on_instant_loop

pytestmark = on_instant_loop

who: ContextVar[str] = ContextVar("who", default="nobody")


async def test_a_coroutine_sees_and_changes_the_variables_of_its_context_alone() -> None:
    async def work() -> list[str]:
        seen = [who.get()]
        who.set("inside")
        await asyncio.sleep(1)
        return [*seen, who.get()]

    context = copy_context()
    context.run(who.set, "given")
    who.set("outside")
    assert await run_in(context, work()) == ["given", "inside"]
    assert (who.get(), context[who]) == ("outside", "inside")


async def test_exceptions_pass_in_both_directions() -> None:
    async def work(future: asyncio.Future[None]) -> None:
        with pytest.raises(KeyError):
            await future
        raise ValueError(who.get())

    context, future = copy_context(), asyncio.get_running_loop().create_future()
    context.run(who.set, "given")
    asyncio.get_running_loop().call_later(1, future.set_exception, KeyError("x"))
    with pytest.raises(ValueError, match="given"):
        await run_in(context, work(future))


async def test_cancellations_and_timeouts_reach_the_coroutine() -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            seen.append(who.get())
            raise

    async def outer(context: Context) -> None:
        await run_in(context, work())

    context = copy_context()
    context.run(who.set, "given")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await run_in(context, work())
    task = asyncio.create_task(outer(context))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert seen == ["given", "given"]


def test_a_discarded_coroutine_is_closed() -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(1)
        finally:
            seen.append("closed")

    async def outer() -> None:
        await run_in(copy_context(), work())

    coroutine = outer()
    asyncio.new_event_loop().close()
    with pytest.raises(RuntimeError):  # there is no loop to sleep on
        coroutine.send(None)
    coroutine = outer()

    async def main() -> None:
        coroutine.send(None)
        coroutine.close()

    run(main(), VirtualClockLoop)
    assert seen == ["closed", "closed"]


@pytest.mark.parametrize("ways", ["ss", "sa", "as", "aa", "sl", "ll", "la", "a", "s", "l"])
async def test_each_listener_of_an_event_starts_with_the_same_variables(ways: str) -> None:
    seen: list[str] = []

    def now() -> None:
        seen.append(who.get())
        who.set("changed")

    async def soon() -> None:
        now()
        await asyncio.sleep(1)
        seen.append(f"still {who.get()}")

    def later() -> Any:
        now()
        return still()

    async def still() -> None:
        await asyncio.sleep(1)
        seen.append(f"still {who.get()}")

    events = EventListeners()
    for way in ways:
        events.on("event", {"s": now, "a": soon, "l": later}[way])
    who.set("given")
    outcome = Outcome(seen.append)
    rest = call_sync(events.of("event"), lambda listener: listener.handler(), outcome)
    if rest is not None:
        await asyncio.create_task(rest.run(lambda listener: listener.handler(), outcome))
    assert who.get() == "given"
    expected = [["given"] if way == "s" else ["given", "still changed"] for way in ways]
    assert seen == [entry for entries in expected for entry in entries]
