from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crosswire.errors import UsageError
from crosswire.runtime.flusher import Flusher
from crosswire.transport.outbox import FRAME_OVERHEAD, Outbox
from crosswire.transport.slow_readers import SlowReaders
from crosswire.transport.watermarks import HIGH_WATER_MARK
from tests.support.aio import run


class FakeWriter:
    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.order: list[FakeWriter] = []
        self.waiting = self.taken = 0
        self.low_water_marks: list[int | None] = []
        self.mark = 0
        self.pause: Callable[[], None] | None = None

    def write_frames(self, data: bytes) -> None:
        self.writes.append(data)
        self.order.append(self)
        if self.pause is not None:
            self.waiting += len(data)
            if self.waiting > self.mark:
                self.pause()

    def set_low_water_mark(self, low: int | None) -> None:
        self.low_water_marks.append(low)

    def fill_at(self, mark: int, pause: Callable[[], None]) -> None:
        """Keep what is written, and call ``pause`` once more than ``mark`` bytes are kept."""
        self.mark, self.pause = mark, pause


class FakeEvents:
    def __init__(self) -> None:
        self.overflows = 0
        self.slow = 0

    def overflowed(self) -> None:
        self.overflows += 1

    def fell_behind(self) -> None:
        self.slow += 1


def room_for(*sizes: int) -> int:
    """Return the limit of an outbox in which frames of these sizes may wait, and no byte more."""
    return sum(sizes) + len(sizes) * FRAME_OVERHEAD


class OutboxUnderTest:
    """An outbox between a fake writer and fake events."""

    def __init__(self, limit: int = 1000, flusher: Flusher | None = None) -> None:
        self.writer = FakeWriter()
        self.events = FakeEvents()
        self.flusher = flusher or Flusher()
        self.outbox = Outbox(self.writer, self.flusher, limit, self.events, SlowReaders(30))

    def push(self, *frames: bytes) -> None:
        for frame in frames:
            self.outbox.push(frame)


async def test_frames_of_one_turn_leave_in_one_write_when_it_ends() -> None:
    tested = OutboxUnderTest()
    tested.push(b"a", b"b", b"c")
    assert tested.writer.writes == []
    assert tested.outbox.buffered == 3
    await asyncio.sleep(0)
    assert tested.writer.writes == [b"abc"]
    tested.push(b"d")
    await asyncio.sleep(0)
    assert tested.writer.writes == [b"abc", b"d"]
    assert tested.outbox.buffered == 0


async def test_a_lone_frame_is_written_without_a_copy() -> None:
    tested, frame = OutboxUnderTest(), bytes(5)
    tested.push(frame)
    await asyncio.sleep(0)
    assert tested.writer.writes[0] is frame


async def test_outboxes_are_flushed_in_the_order_they_were_filled() -> None:
    flusher, order = Flusher(), list[FakeWriter]()
    outboxes = [OutboxUnderTest(flusher=flusher) for _ in range(5)]
    for tested in outboxes:
        tested.writer.order = order
    for tested in reversed(outboxes):
        tested.push(b"x")
    await asyncio.sleep(0)
    assert order == [tested.writer for tested in reversed(outboxes)]


async def test_a_frame_pushed_while_the_turn_ends_leaves_at_once() -> None:
    tested = OutboxUnderTest()

    class Late:
        def flush(self) -> None:
            tested.push(b"a", b"b")

    tested.flusher.schedule(Late())
    await asyncio.sleep(0)
    assert tested.writer.writes == [b"a", b"b"]


async def test_a_busy_turn_is_written_early_and_drops_no_connection() -> None:
    tested = OutboxUnderTest(room_for(5, 5))
    tested.push(b"12345", b"67890")
    assert tested.writer.writes == []
    tested.push(b"x")
    assert tested.writer.writes == [b"1234567890"]
    await asyncio.sleep(0)
    assert tested.writer.writes == [b"1234567890", b"x"]
    assert tested.events.overflows == 0


@pytest.mark.parametrize("paused", [False, True])
async def test_a_frame_over_the_limit_is_taken_if_nothing_waits(paused: bool) -> None:
    tested = OutboxUnderTest(limit=10)
    if paused:
        tested.outbox.pause()
    tested.push(bytes(1000))
    await asyncio.sleep(0)
    assert tested.writer.writes == ([] if paused else [bytes(1000)])
    assert tested.outbox.buffered == (1000 if paused else 0)
    assert tested.events.overflows == 0


async def test_the_limit_itself_may_wait_and_a_byte_more_overflows() -> None:
    tested = OutboxUnderTest(room_for(4, 6))
    tested.outbox.pause()
    tested.push(bytes(4), bytes(6))
    assert tested.outbox.buffered == 10
    tested.push(b"")
    assert tested.events.overflows == 0, "not within the push"
    assert tested.outbox.buffered == 0
    tested.push(b"more", b"and more")
    await asyncio.sleep(0)
    tested.outbox.resume()
    tested.push(b"late")
    await asyncio.sleep(0)
    assert tested.events.overflows == 1
    assert tested.writer.writes == []


async def test_after_each_write_the_whole_limit_is_available() -> None:
    tested = OutboxUnderTest(room_for(5, 5))
    for _ in range(5):
        tested.outbox.pause()
        tested.push(bytes(5), bytes(5))
        tested.outbox.resume()
    assert tested.writer.writes == [bytes(10)] * 5
    assert tested.events.overflows == 0


async def test_frames_pushed_while_paused_leave_in_one_write() -> None:
    tested = OutboxUnderTest()
    tested.push(b"a")
    tested.outbox.pause()
    tested.push(b"b")
    await asyncio.sleep(0)
    tested.push(b"c")
    await asyncio.sleep(0)
    assert tested.writer.writes == []
    tested.outbox.resume()
    assert tested.writer.writes == [b"abc"]
    await asyncio.sleep(0)
    assert tested.writer.writes == [b"abc"]


async def test_a_sealed_outbox_writes_what_waits_and_takes_no_more() -> None:
    tested = OutboxUnderTest()
    tested.push(b"a")
    tested.outbox.seal()
    tested.push(b"b", bytes(1000))
    await asyncio.sleep(0)
    tested.push(b"c")
    await asyncio.sleep(0)
    assert tested.writer.writes == [b"a"]
    assert tested.events.overflows == 0


async def test_a_discard_drops_what_waits_without_a_callback() -> None:
    tested = OutboxUnderTest(limit=10)
    tested.outbox.pause()
    tested.push(bytes(10))
    tested.outbox.discard()
    tested.push(bytes(100))
    tested.outbox.resume()
    await asyncio.sleep(0)
    assert tested.writer.writes == []
    assert tested.events.overflows == 0


async def test_buffered_counts_the_bytes_here_and_in_the_writer() -> None:
    tested = OutboxUnderTest(limit=1000)
    tested.writer.waiting = 70
    tested.outbox.pause()
    tested.push(b"abc", b"de")
    assert tested.outbox.buffered == 75
    tested.outbox.resume()
    assert tested.outbox.buffered == 70


async def test_the_writer_gets_no_more_than_it_sends_soon() -> None:
    frame = bytes(20_000)
    tested = OutboxUnderTest(room_for(*[len(frame)] * 20))
    tested.outbox.pause()
    tested.push(*[frame] * 20)
    tested.writer.fill_at(HIGH_WATER_MARK, tested.outbox.pause)
    tested.outbox.resume()
    assert tested.writer.writes == [frame * 3, frame * 3], "the second write has filled it"
    assert tested.outbox.buffered == 20 * len(frame)
    tested.push(bytes(6 * len(frame)))
    assert not tested.events.overflows
    while tested.writer.waiting:
        tested.writer.waiting = 0
        tested.outbox.resume()
    assert len(b"".join(tested.writer.writes)) == 26 * len(frame)
    tested.outbox.pause()
    tested.push(*[frame] * 20)
    assert not tested.events.overflows, "all of the limit is free again"


async def test_a_writer_that_pauses_late_is_not_filled_in_one_turn() -> None:
    frame = bytes(20_000)
    tested = OutboxUnderTest(room_for(*[len(frame)] * 20))
    tested.writer.fill_at(10**9, tested.outbox.pause)
    tested.push(*[frame] * 20)
    await asyncio.sleep(0)
    assert tested.writer.writes == [frame * 3, frame * 3]
    tested.writer.waiting = 0  # the kernel has taken it at the end of the turn: nothing was paused
    await asyncio.sleep(0)
    assert len(b"".join(tested.writer.writes)) == 12 * len(frame)
    tested.push(*[frame] * 13)  # over the limit, as 8 are left, and the writer is full
    await asyncio.sleep(0)
    assert tested.events.overflows == 1


async def test_everything_is_written_for_the_end_of_a_connection() -> None:
    frame = bytes(20_000)
    tested = OutboxUnderTest(room_for(*[len(frame)] * 20))
    tested.writer.fill_at(HIGH_WATER_MARK, tested.outbox.pause)
    tested.outbox.pause()
    tested.push(*[frame] * 20)
    tested.outbox.seal()
    tested.outbox.write_all()
    assert tested.writer.writes == [frame * 20]


@pytest.mark.parametrize("size", [2, 3, 50, 5000])
async def test_small_frames_take_no_more_memory_than_the_limit(size: int) -> None:
    limit = 1_000_000
    tested = OutboxUnderTest(limit)
    tested.outbox.pause()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        held = before
        while True:
            for _ in range(50):
                tested.push(bytes(size))
            if not tested.outbox.buffered:
                break
            held, _ = tracemalloc.get_traced_memory()
        assert 0.5 * limit < held - before < 1.1 * limit
    finally:
        tracemalloc.stop()
    await asyncio.sleep(0)
    assert tested.events.overflows == 1


@given(st.lists(st.lists(st.binary(max_size=30), max_size=8), max_size=8), st.integers(1, 400))
def test_frames_leave_in_order_while_nothing_pauses_the_outbox(turns: list[list[bytes]], limit: int) -> None:
    async def main() -> None:
        tested = OutboxUnderTest(limit)
        for frames in turns:
            tested.push(*frames)
            await asyncio.sleep(0)
        assert b"".join(tested.writer.writes) == b"".join(frame for frames in turns for frame in frames)
        assert tested.outbox.buffered == 0
        assert tested.events.overflows == 0

    with asyncio.Runner() as runner:
        runner.run(main())


def test_a_frame_pushed_outside_an_event_loop_is_not_queued() -> None:
    tested = OutboxUnderTest(limit=10)
    for _ in range(20):  # more than its limit, all in vain
        with pytest.raises(UsageError, match="no event loop runs"):
            tested.push(b"lost")

    async def main() -> None:
        tested.push(b"1234567890")
        await asyncio.sleep(0)
        assert tested.writer.writes == [b"1234567890"]

    run(main())
    assert not tested.events.overflows


async def test_a_writer_that_fails_once_is_written_to_again(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(FakeWriter):
        def write_frames(self, data: bytes) -> None:
            if data == b"a":
                raise RuntimeError
            super().write_frames(data)

    other = OutboxUnderTest()
    writer = Failing()
    outbox = Outbox(writer, other.flusher, 10, other.events, SlowReaders(30))
    outbox.push(b"a")
    other.push(b"b")
    await asyncio.sleep(0)
    outbox.push(b"c")
    await asyncio.sleep(0)
    assert other.writer.writes == [b"b"]
    assert writer.writes == [b"c"]
    assert "failed" in caplog.text


class MarkedWriter(FakeWriter):
    """A writer that pauses and resumes the outbox as the transport of an event loop does."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox: Outbox
        self._low, self._high, self._is_full = 16, 64, False

    def write_frames(self, data: bytes) -> None:
        super().write_frames(data)
        self.waiting += len(data)
        self._regulate()

    def set_low_water_mark(self, low: int | None) -> None:
        if low is None:
            self._low, self._high = 16, 64
        elif self.waiting > low:
            self._low = self._high = low
        self._regulate()

    def send(self, size: int) -> None:
        """Let the kernel take that many bytes."""
        self.waiting -= size
        if self._is_full and self.waiting <= self._low:
            self._is_full = False
            self.outbox.resume()

    def _regulate(self) -> None:
        if not self._is_full and self.waiting > self._high:
            self._is_full = True
            self.outbox.pause()


@given(st.integers(0, 65), st.lists(st.integers(1, 40), max_size=3), st.integers(1, 70), st.integers(1, 20))
@example(
    sent=45, frames=[30], below=30, step=1
)  # fewer than ``below`` are left of the first, and frames come behind it
def test_drained_ends_once_everything_is_sent(sent: int, frames: list[int], below: int, step: int) -> None:
    async def main() -> None:
        writer = MarkedWriter()
        writer.outbox = outbox = Outbox(writer, Flusher(), 1_000, FakeEvents(), SlowReaders(30))
        for size in (65, *frames):
            outbox.push(bytes(size))
            outbox.flush()
        writer.send(sent)
        draining = asyncio.create_task(outbox.drained(below))
        await asyncio.sleep(0)
        while writer.waiting:
            assert not draining.done() or outbox.buffered < below
            writer.send(min(step, writer.waiting))
            await asyncio.sleep(0)
        async with asyncio.timeout(1):
            assert await draining

    run(main())
