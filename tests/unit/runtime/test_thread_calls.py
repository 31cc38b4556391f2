from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar

import pytest

from crosswire.errors import BusUnavailable, NotConnected
from crosswire.runtime.thread_calls import ThreadCalls
from tests.support.aio import wait_until

variable: ContextVar[str] = ContextVar("variable", default="the loop's")


class Made:
    """Calls that were made, each with the thread that made it."""

    def __init__(self) -> None:
        self.arguments: list[object] = []
        self.threads: set[int] = set()

    def __call__(self, argument: object) -> None:
        self.arguments.append(argument)
        self.threads.add(threading.get_ident())


@contextmanager
def opened(calls: ThreadCalls) -> Iterator[Made]:
    calls.open()
    try:
        yield Made()
    finally:
        calls.close()


async def in_thread(work: Callable[[], object]) -> None:
    await asyncio.get_running_loop().run_in_executor(None, work)


async def test_calls_are_made_in_order_in_the_loop_before_the_thread_is_awaited_again() -> None:
    with opened(calls := ThreadCalls()) as made:
        for start in (0, 100):

            def work(start: int = start) -> None:
                for number in range(start, start + 100):
                    calls.hand_over(1, made, number)

            await in_thread(work)
            made("here")
        assert made.arguments == [*range(100), "here", *range(100, 200), "here"]
        assert made.threads == {threading.get_ident()}


async def test_many_calls_wake_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(calls := ThreadCalls()) as made:
        woken: list[object] = []

        class Loop:
            def call_soon_threadsafe(self, callback: Callable[[], object], context: object) -> None:
                woken.append(callback)

        monkeypatch.setattr(calls, "_loop", Loop())
        for number in range(10):
            calls.hand_over(1, made, number)
        assert len(woken) == 1
        woken.pop()()  # type: ignore[operator]
        calls.hand_over(1, made, 10)
        assert len(woken) == 1
    assert made.arguments == list(range(11))


@pytest.mark.parametrize("limits", [{"max_waiting": 3}, {"max_bytes": 3}])
async def test_a_thread_waits_for_room_and_loses_nothing(limits: dict[str, int]) -> None:
    with opened(calls := ThreadCalls(**limits, timeout=60)) as made:

        def work(thread: int) -> None:
            for number in range(200):
                calls.hand_over(1, made, (thread, number))

        with ThreadPoolExecutor(4) as pool:
            loop = asyncio.get_running_loop()
            await asyncio.gather(*(loop.run_in_executor(pool, work, thread) for thread in range(4)))
        for thread in range(4):
            assert [call for call in made.arguments if call[0] == thread] == [(thread, n) for n in range(200)]  # type: ignore[index]


async def test_while_the_loop_is_held_a_thread_gets_an_error_in_the_end() -> None:
    with opened(calls := ThreadCalls(max_waiting=2, timeout=0.05)) as made:
        calls.hand_over(1, made, 1)
        calls.hand_over(1, made, 2)
        with pytest.raises(BusUnavailable, match="holds the loop"):
            calls.hand_over(1, made, 3)
        await wait_until(lambda: made.arguments == [1, 2])
        calls.hand_over(1, made, 4)
    assert made.arguments == [1, 2, 4]


async def test_a_message_larger_than_the_limit_is_taken_alone() -> None:
    with opened(calls := ThreadCalls(max_bytes=10, timeout=0.05)) as made:
        calls.hand_over(100, made, 1)
        with pytest.raises(BusUnavailable):
            calls.hand_over(1, made, 2)
        await wait_until(lambda: made.arguments == [1])


async def test_at_the_end_what_waits_is_done_and_later_calls_raise() -> None:
    calls = ThreadCalls(max_waiting=1, timeout=60)
    with pytest.raises(NotConnected):
        calls.hand_over(1, print)
    errors: list[BaseException] = []
    with opened(calls) as made:
        calls.hand_over(1, made, 1)

        def waits() -> None:
            try:
                calls.hand_over(1, made, 2)
            except NotConnected as error:
                errors.append(error)

        thread = threading.Thread(target=waits)
        thread.start()
        while not calls._changed._waiters:  # type: ignore[attr-defined]
            assert thread.is_alive()
    thread.join()
    assert made.arguments == [1]
    assert len(errors) == 1
    with pytest.raises(NotConnected):
        calls.hand_over(1, print)


def test_a_loop_that_has_ended_takes_nothing() -> None:
    calls = ThreadCalls()

    async def forgets_to_close() -> None:
        calls.open()

    asyncio.run(forgets_to_close())
    for _ in range(2):
        with pytest.raises(NotConnected, match="ended without a stop"):
            calls.hand_over(1, print)


async def test_a_call_that_fails_is_logged_and_counted_and_the_next_is_made(caplog: pytest.LogCaptureFixture) -> None:
    def full(_argument: object) -> None:
        raise BusUnavailable("the buffer is full")

    with opened(calls := ThreadCalls()) as made:
        with caplog.at_level(logging.WARNING):
            calls.hand_over(1, full, 0)
            calls.hand_over(1, int, "no number")
            calls.hand_over(1, made, 1)
            await wait_until(lambda: made.arguments == [1])
        assert calls.lost == 2
        assert "the buffer is full" in caplog.text
        assert "ValueError" in caplog.text
    calls.open()
    assert calls.lost == 0
    calls.close()


async def test_calls_see_the_context_variables_of_the_loop() -> None:
    seen: list[str] = []
    with opened(calls := ThreadCalls()) as made:

        def work() -> None:
            variable.set("the thread's")
            calls.hand_over(1, lambda: seen.append(variable.get()))

        await in_thread(work)
        assert (seen, made.arguments) == (["the loop's"], [])
