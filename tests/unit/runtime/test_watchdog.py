from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from crosswire.runtime.watchdog import WAKE_SIGNAL, Watchdog
from tests.support.aio import wait_until


@contextmanager
def handling(handler: Callable[[], None]) -> Iterator[None]:
    """Call a handler for each signal of the watchdog."""
    before = signal.signal(WAKE_SIGNAL, lambda _number, _frame: handler())
    try:
        yield
    finally:
        signal.signal(WAKE_SIGNAL, before)


def make_watchdog(loop: asyncio.AbstractEventLoop | None = None) -> Watchdog:
    """Make a watchdog of an event loop, by default of the running one."""
    watchdog = Watchdog()
    watchdog.attach(asyncio.get_running_loop() if loop is None else loop)
    return watchdog


def hold_until(condition: Callable[[], object]) -> None:
    """Hold the event loop until something is true."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def count_threads(watchdog: Watchdog) -> int:
    """Return how many threads watch for a watchdog."""
    running = (frame for top in sys._current_frames().values() for frame in callers(top))
    return sum(frame.f_code is Watchdog._run.__code__ and frame.f_locals["self"] is watchdog for frame in running)


def callers(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


async def test_code_that_holds_the_event_loop_is_interrupted() -> None:
    watchdog = make_watchdog()
    held: list[bool] = []
    with handling(lambda: held.append(watchdog.loop_is_held())):
        watchdog.start()
        try:
            hold_until(lambda: held)
            assert held[0]
            await wait_until(lambda: not watchdog.loop_is_held())
        finally:
            watchdog.stop()


async def test_the_event_loop_may_be_held_for_as_long_as_is_allowed() -> None:
    watchdog = make_watchdog()
    woken: list[float] = []
    with handling(lambda: woken.append(time.monotonic())):
        watchdog.start()
        try:
            hold_until(lambda: woken)
            woken.clear()
            watchdog.allow(0.5)
            allowed = time.monotonic()
            hold_until(lambda: woken)
            assert woken[0] - allowed > 0.5
        finally:
            watchdog.stop()


async def test_it_watches_in_one_thread_until_it_is_stopped() -> None:
    watchdog = make_watchdog()
    watchdog.start()
    watchdog.start()
    await wait_until(lambda: count_threads(watchdog) == 1)
    watchdog.stop()
    await wait_until(lambda: count_threads(watchdog) == 0)


async def test_an_event_loop_that_is_closed_is_not_held() -> None:
    closed = asyncio.new_event_loop()
    closed.close()
    watchdog = make_watchdog(closed)
    woken: list[None] = []
    with handling(lambda: woken.append(None)):
        watchdog.start()
        try:
            began = time.monotonic()
            hold_until(lambda: time.monotonic() - began > 0.6)
            assert not watchdog.loop_is_held()
            assert not woken
        finally:
            watchdog.stop()
