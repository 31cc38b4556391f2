from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from crosswire.runtime.flusher import LONE_READS, Flusher


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


async def after_a_turn_with(*buffers: FakeBuffer) -> Flusher:
    """Return a flusher that has flushed these buffers at the end of a turn."""
    flusher = Flusher()
    for buffer in buffers:
        flusher.schedule(buffer)
    await asyncio.sleep(0)
    return flusher


def read(flusher: Flusher, own: FakeBuffer, *filled: FakeBuffer) -> None:
    """Read from the connection that has the buffer ``own``, and fill buffers meanwhile."""
    flusher.begin_read()
    for buffer in filled:
        flusher.schedule(buffer)
    flusher.end_read(own)


async def test_a_lone_read_flushes_the_buffer_of_its_own_connection() -> None:
    own = FakeBuffer()
    flusher = await after_a_turn_with(FakeBuffer())
    read(flusher, own, own)
    assert own.flushes == 1
    await asyncio.sleep(0)
    assert own.flushes == 1


async def test_a_read_that_has_filled_others_leaves_all_to_the_end_of_the_turn() -> None:
    for filled in ([FakeBuffer()], [FakeBuffer(), FakeBuffer()]):
        own = FakeBuffer()
        flusher = await after_a_turn_with(FakeBuffer())
        read(flusher, own, *filled, *([own] if len(filled) > 1 else []))
        assert [each.flushes for each in (own, *filled)] == [0, *[0 for _ in filled]]
        await asyncio.sleep(0)
        assert [each.flushes for each in filled] == [1 for _ in filled]


async def test_a_read_leaves_what_waited_before_it_to_the_end_of_the_turn() -> None:
    own, before = FakeBuffer(), FakeBuffer()
    flusher = await after_a_turn_with(FakeBuffer())
    flusher.schedule(before)
    read(flusher, own, own)
    assert (before.flushes, own.flushes) == (0, 0)
    await asyncio.sleep(0)
    assert (before.flushes, own.flushes) == (1, 1)


async def test_what_is_scheduled_after_a_lone_read_is_flushed_when_the_turn_ends() -> None:
    own, later = FakeBuffer(), FakeBuffer()
    flusher = await after_a_turn_with(FakeBuffer())
    read(flusher, own)
    read(flusher, own, own)
    flusher.schedule(later)
    assert (own.flushes, later.flushes) == (1, 0)
    await asyncio.sleep(0)
    assert (own.flushes, later.flushes) == (1, 1)


async def test_so_many_reads_are_lone_after_a_turn_with_one_buffer_and_none_after_one_with_two() -> None:
    flusher = await after_a_turn_with(FakeBuffer())
    assert flusher.lone_reads == LONE_READS
    read(flusher, FakeBuffer())
    assert flusher.lone_reads == LONE_READS - 1
    flusher = await after_a_turn_with(FakeBuffer(), FakeBuffer())
    assert flusher.lone_reads == 0


async def test_a_lone_read_whose_flush_fails_leaves_a_working_flusher(caplog: pytest.LogCaptureFixture) -> None:
    own, later = FakeBuffer(fail), FakeBuffer()
    flusher = await after_a_turn_with(FakeBuffer())
    read(flusher, own, own)
    flusher.schedule(later)
    await asyncio.sleep(0)
    assert later.flushes == 1
    assert "as the test wants it" in caplog.text
