from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.errors import UsageError
from crosswire.runtime.flusher import Flusher
from crosswire.transport.outbox import Outbox
from tests.support.aio import run


class FakeWriter:
    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.order: list[FakeWriter] = []
        self.waiting = 0
        self.watched: list[int | None] = []

    def write_frames(self, data: bytes) -> None:
        self.writes.append(data)
        self.order.append(self)

    def watch(self, low: int | None) -> None:
        self.watched.append(low)


class FakeEvents:
    def __init__(self) -> None:
        self.overflows = 0

    def overflowed(self) -> None:
        self.overflows += 1


class OutboxUnderTest:
    """An outbox between a fake writer and fake events."""

    def __init__(self, limit: int = 10, flusher: Flusher | None = None) -> None:
        self.writer = FakeWriter()
        self.events = FakeEvents()
        self.flusher = flusher or Flusher()
        self.outbox = Outbox(self.writer, self.flusher, limit, self.events)

    def push(self, *frames: bytes) -> None:
        for frame in frames:
            self.outbox.push(frame)


async def test_frames_of_one_turn_leave_in_one_write_when_it_ends() -> None:
    outbox_under_test = OutboxUnderTest()
    outbox_under_test.push(b"a", b"b", b"c")
    assert outbox_under_test.writer.writes == []
    assert outbox_under_test.outbox.buffered == 3
    await asyncio.sleep(0)
    assert outbox_under_test.writer.writes == [b"abc"]
    outbox_under_test.push(b"d")
    await asyncio.sleep(0)
    assert outbox_under_test.writer.writes == [b"abc", b"d"]
    assert outbox_under_test.outbox.buffered == 0


async def test_a_lone_frame_is_written_without_a_copy() -> None:
    outbox_under_test, frame = OutboxUnderTest(), bytes(5)
    outbox_under_test.push(frame)
    await asyncio.sleep(0)
    assert outbox_under_test.writer.writes[0] is frame


async def test_outboxes_are_flushed_in_the_order_they_were_filled() -> None:
    flusher, order = Flusher(), list[FakeWriter]()
    benches = [OutboxUnderTest(flusher=flusher) for _ in range(5)]
    for outbox_under_test in benches:
        outbox_under_test.writer.order = order
    for outbox_under_test in reversed(benches):
        outbox_under_test.push(b"x")
    await asyncio.sleep(0)
    assert order == [outbox_under_test.writer for outbox_under_test in reversed(benches)]


async def test_a_frame_pushed_while_the_turn_ends_leaves_at_once() -> None:
    outbox_under_test = OutboxUnderTest()

    class Late:
        def flush(self) -> None:
            outbox_under_test.push(b"a", b"b")

    outbox_under_test.flusher.schedule(Late())
    await asyncio.sleep(0)
    assert outbox_under_test.writer.writes == [b"a", b"b"]


async def test_a_busy_turn_is_written_early_and_drops_no_connection() -> None:
    outbox_under_test = OutboxUnderTest(limit=10)
    outbox_under_test.push(b"12345", b"67890")
    assert outbox_under_test.writer.writes == []
    outbox_under_test.push(b"x")
    assert outbox_under_test.writer.writes == [b"1234567890"]
    await asyncio.sleep(0)
    assert outbox_under_test.writer.writes == [b"1234567890", b"x"]
    assert outbox_under_test.events.overflows == 0


@pytest.mark.parametrize("paused", [False, True])
async def test_a_frame_over_the_limit_is_taken_if_nothing_waits(paused: bool) -> None:
    outbox_under_test = OutboxUnderTest(limit=10)
    if paused:
        outbox_under_test.outbox.pause()
    outbox_under_test.push(bytes(1000))
    await asyncio.sleep(0)
    assert outbox_under_test.writer.writes == ([] if paused else [bytes(1000)])
    assert outbox_under_test.outbox.buffered == (1000 if paused else 0)
    assert outbox_under_test.events.overflows == 0


async def test_the_limit_itself_may_wait_and_a_byte_more_overflows() -> None:
    outbox_under_test = OutboxUnderTest(limit=10)
    outbox_under_test.outbox.pause()
    outbox_under_test.push(bytes(4), bytes(6))
    assert outbox_under_test.outbox.buffered == 10
    outbox_under_test.push(b"!")
    assert outbox_under_test.events.overflows == 0, "not within the push"
    assert outbox_under_test.outbox.buffered == 0
    outbox_under_test.push(b"more", b"and more")
    await asyncio.sleep(0)
    outbox_under_test.outbox.resume()
    outbox_under_test.push(b"late")
    await asyncio.sleep(0)
    assert outbox_under_test.events.overflows == 1
    assert outbox_under_test.writer.writes == []


async def test_after_each_write_the_whole_limit_is_available() -> None:
    outbox_under_test = OutboxUnderTest(limit=10)
    for _ in range(5):
        outbox_under_test.outbox.pause()
        outbox_under_test.push(bytes(5), bytes(5))
        outbox_under_test.outbox.resume()
    assert outbox_under_test.writer.writes == [bytes(10)] * 5
    assert outbox_under_test.events.overflows == 0


async def test_frames_pushed_while_paused_leave_in_one_write() -> None:
    outbox_under_test = OutboxUnderTest()
    outbox_under_test.push(b"a")
    outbox_under_test.outbox.pause()
    outbox_under_test.push(b"b")
    await asyncio.sleep(0)
    outbox_under_test.push(b"c")
    await asyncio.sleep(0)
    assert outbox_under_test.writer.writes == []
    outbox_under_test.outbox.resume()
    assert outbox_under_test.writer.writes == [b"abc"]
    await asyncio.sleep(0)
    assert outbox_under_test.writer.writes == [b"abc"]


async def test_a_sealed_outbox_writes_what_waits_and_takes_no_more() -> None:
    outbox_under_test = OutboxUnderTest()
    outbox_under_test.push(b"a")
    outbox_under_test.outbox.seal()
    outbox_under_test.push(b"b", bytes(1000))
    await asyncio.sleep(0)
    outbox_under_test.push(b"c")
    await asyncio.sleep(0)
    assert outbox_under_test.writer.writes == [b"a"]
    assert outbox_under_test.events.overflows == 0


async def test_a_discard_drops_what_waits_without_a_callback() -> None:
    outbox_under_test = OutboxUnderTest(limit=10)
    outbox_under_test.outbox.pause()
    outbox_under_test.push(bytes(10))
    outbox_under_test.outbox.discard()
    outbox_under_test.push(bytes(100))
    outbox_under_test.outbox.resume()
    await asyncio.sleep(0)
    assert outbox_under_test.writer.writes == []
    assert outbox_under_test.events.overflows == 0


async def test_buffered_counts_the_bytes_here_and_in_the_writer() -> None:
    outbox_under_test = OutboxUnderTest(limit=1000)
    outbox_under_test.writer.waiting = 70
    outbox_under_test.outbox.pause()
    outbox_under_test.push(b"abc", b"de")
    assert outbox_under_test.outbox.buffered == 75
    outbox_under_test.outbox.resume()
    assert outbox_under_test.outbox.buffered == 70


@given(st.lists(st.lists(st.binary(max_size=30), max_size=8), max_size=8), st.integers(1, 40))
def test_frames_leave_in_order_while_nothing_pauses_the_outbox(turns: list[list[bytes]], limit: int) -> None:
    async def main() -> None:
        outbox_under_test = OutboxUnderTest(limit)
        for frames in turns:
            outbox_under_test.push(*frames)
            await asyncio.sleep(0)
        assert b"".join(outbox_under_test.writer.writes) == b"".join(frame for frames in turns for frame in frames)
        assert outbox_under_test.outbox.buffered == 0
        assert outbox_under_test.events.overflows == 0

    with asyncio.Runner() as runner:
        runner.run(main())


def test_a_frame_pushed_outside_an_event_loop_is_not_queued() -> None:
    outbox_under_test = OutboxUnderTest(limit=10)
    for _ in range(20):  # more than its limit, all in vain
        with pytest.raises(UsageError, match="no event loop runs"):
            outbox_under_test.push(b"lost")

    async def main() -> None:
        outbox_under_test.push(b"1234567890")
        await asyncio.sleep(0)
        assert outbox_under_test.writer.writes == [b"1234567890"]

    run(main())
    assert not outbox_under_test.events.overflows


async def test_a_writer_that_fails_once_is_written_to_again(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(FakeWriter):
        def write_frames(self, data: bytes) -> None:
            if data == b"a":
                raise RuntimeError
            super().write_frames(data)

    other = OutboxUnderTest()
    writer = Failing()
    outbox = Outbox(writer, other.flusher, 10, other.events)
    outbox.push(b"a")
    other.push(b"b")
    await asyncio.sleep(0)
    outbox.push(b"c")
    await asyncio.sleep(0)
    assert other.writer.writes == [b"b"]
    assert writer.writes == [b"c"]
    assert "failed" in caplog.text
