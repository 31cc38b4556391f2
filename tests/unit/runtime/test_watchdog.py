from __future__ import annotations

import _thread
import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

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


@pytest.fixture
async def watchdog() -> Watchdog:
    watchdog = Watchdog()
    watchdog.attach(asyncio.get_running_loop())
    return watchdog


def hold_until(condition: Callable[[], object]) -> None:
    """Hold the event loop until something is true."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_code_that_holds_the_event_loop_is_interrupted(watchdog: Watchdog) -> None:
    held: list[bool] = []
    with handling(lambda: held.append(watchdog.loop_is_held())):
        watchdog.start()
        try:
            hold_until(lambda: held)
            assert held[0]
            await wait_until(lambda: not watchdog.loop_is_held())
        finally:
            watchdog.stop()


async def test_the_event_loop_may_be_held_for_as_long_as_is_allowed(watchdog: Watchdog) -> None:
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


async def test_it_watches_in_one_thread_until_it_is_stopped(watchdog: Watchdog) -> None:
    threads = _thread._count()
    watchdog.start()
    watchdog.start()
    await wait_until(lambda: _thread._count() == threads + 1)
    watchdog.stop()
    await wait_until(lambda: _thread._count() == threads)


async def test_an_event_loop_that_is_closed_is_not_held(watchdog: Watchdog) -> None:
    closed = asyncio.new_event_loop()
    closed.close()
    watchdog.attach(closed)
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
