from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator

import pytest

from crosswire.runtime.loops import run as run_fast
from crosswire.runtime.signal_queue import signal_queue
from tests.support.loops import on_every_loop

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a process can't signal itself there")


def my_handler(number: int, frame: object) -> None:
    raise AssertionError("the signal was not caught")


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.signal(number, my_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@on_every_loop
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_is_queued(number: signal.Signals) -> None:
    with signal_queue() as caught:
        os.kill(os.getpid(), number)
        result = await asyncio.wait_for(caught.get(), 5)
    assert result == number


@on_every_loop
async def test_at_most_two_signals_are_queued() -> None:
    with signal_queue() as caught:
        for _ in range(4):
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.01)
        result = [caught.get_nowait() for _ in range(caught.qsize())]
    assert result == [signal.SIGTERM] * 2


@on_every_loop
async def test_earlier_handlers_are_restored() -> None:
    # A runner's own SIGINT handler is put where Python's default was; here it leaves ours alone.
    with pytest.raises(KeyError), signal_queue():
        raise KeyError
    assert [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)] == [my_handler, my_handler]


def test_the_fastest_loop_runs_a_coroutine() -> None:
    async def main() -> str:
        return type(asyncio.get_running_loop()).__module__

    assert run_fast(main()).startswith("uvloop")
