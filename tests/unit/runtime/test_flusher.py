from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from crosswire.runtime.flusher import Flusher


class FakeBuffer:
    def __init__(self, at_flush: Callable[[], None] = lambda: None) -> None:
        self.flushes: int = 0
        self._at_flush = at_flush

    def flush(self) -> None:
        self.flushes += 1
        self._at_flush()


def fail() -> None:
    raise RuntimeError("as the test wants it")


def interrupt() -> None:
    raise KeyboardInterrupt


async def test_filled_buffers_are_flushed_once_when_the_turn_ends() -> None:
    flusher, buffer = Flusher(), FakeBuffer()
    flusher.schedule(buffer)
    flushes = [buffer.flushes]
    for _ in range(2):
        await asyncio.sleep(0)
        flushes.append(buffer.flushes)
    assert flushes == [0, 1, 1]


async def test_buffers_filled_by_a_flush_are_flushed_in_the_same_turn() -> None:
    flusher, last = Flusher(), FakeBuffer()
    flusher.schedule(FakeBuffer(lambda: flusher.schedule(last)))
    await asyncio.sleep(0)
    assert last.flushes == 1


async def test_a_flush_that_fails_does_not_keep_others_from_theirs(caplog: pytest.LogCaptureFixture) -> None:
    flusher, buffer = Flusher(), FakeBuffer()
    for _ in range(2):
        flusher.schedule(FakeBuffer(fail))
        flusher.schedule(buffer)
        await asyncio.sleep(0)
    assert buffer.flushes == 2
    assert "as the test wants it" in caplog.text


def test_an_interrupted_flush_leaves_a_working_flusher() -> None:
    flusher, buffer = Flusher(), FakeBuffer()
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        loop.call_soon(flusher.schedule, FakeBuffer(interrupt))
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        loop.call_soon(flusher.schedule, buffer)
        loop.call_later(0.01, loop.stop)
        loop.run_forever()
    assert buffer.flushes == 1
