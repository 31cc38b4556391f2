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


class Bench:
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
    bench = Bench()
    bench.push(b"a", b"b", b"c")
    assert bench.writer.writes == []
    assert bench.outbox.buffered == 3
    await asyncio.sleep(0)
    assert bench.writer.writes == [b"abc"]
    bench.push(b"d")
    await asyncio.sleep(0)
    assert bench.writer.writes == [b"abc", b"d"]
    assert bench.outbox.buffered == 0


async def test_a_lone_frame_is_written_without_a_copy() -> None:
    bench, frame = Bench(), bytes(5)
    bench.push(frame)
    await asyncio.sleep(0)
    assert bench.writer.writes[0] is frame


async def test_outboxes_are_flushed_in_the_order_they_were_filled() -> None:
    flusher, order = Flusher(), list[FakeWriter]()
    benches = [Bench(flusher=flusher) for _ in range(5)]
    for bench in benches:
        bench.writer.order = order
    for bench in reversed(benches):
        bench.push(b"x")
    await asyncio.sleep(0)
    assert order == [bench.writer for bench in reversed(benches)]


async def test_what_is_pushed_while_the_turn_ends_leaves_at_once() -> None:
    bench = Bench()

    class Late:
        def flush(self) -> None:
            bench.push(b"a", b"b")

    bench.flusher.schedule(Late())
    await asyncio.sleep(0)
    assert bench.writer.writes == [b"a", b"b"]


async def test_a_busy_turn_is_written_early_and_drops_nobody() -> None:
    bench = Bench(limit=10)
    bench.push(b"12345", b"67890")
    assert bench.writer.writes == []
    bench.push(b"x")
    assert bench.writer.writes == [b"1234567890"]
    await asyncio.sleep(0)
    assert bench.writer.writes == [b"1234567890", b"x"]
    assert bench.events.overflows == 0


@pytest.mark.parametrize("paused", [False, True])
async def test_a_frame_over_the_limit_is_taken_if_nothing_waits(paused: bool) -> None:
    bench = Bench(limit=10)
    if paused:
        bench.outbox.pause()
    bench.push(bytes(1000))
    await asyncio.sleep(0)
    assert bench.writer.writes == ([] if paused else [bytes(1000)])
    assert bench.outbox.buffered == (1000 if paused else 0)
    assert bench.events.overflows == 0


async def test_the_limit_itself_may_wait_and_a_byte_more_overflows() -> None:
    bench = Bench(limit=10)
    bench.outbox.pause()
    bench.push(bytes(4), bytes(6))
    assert bench.outbox.buffered == 10
    bench.push(b"!")
    assert bench.events.overflows == 0, "not within the push"
    assert bench.outbox.buffered == 0
    bench.push(b"more", b"and more")
    await asyncio.sleep(0)
    bench.outbox.resume()
    bench.push(b"late")
    await asyncio.sleep(0)
    assert bench.events.overflows == 1
    assert bench.writer.writes == []


async def test_the_limit_counts_anew_after_each_write() -> None:
    bench = Bench(limit=10)
    for _ in range(5):
        bench.outbox.pause()
        bench.push(bytes(5), bytes(5))
        bench.outbox.resume()
    assert bench.writer.writes == [bytes(10)] * 5
    assert bench.events.overflows == 0


async def test_what_is_pushed_while_paused_waits_and_leaves_in_one_write() -> None:
    bench = Bench()
    bench.push(b"a")
    bench.outbox.pause()
    bench.push(b"b")
    await asyncio.sleep(0)
    bench.push(b"c")
    await asyncio.sleep(0)
    assert bench.writer.writes == []
    bench.outbox.resume()
    assert bench.writer.writes == [b"abc"]
    await asyncio.sleep(0)
    assert bench.writer.writes == [b"abc"]


async def test_after_a_seal_what_waits_leaves_and_nothing_more_is_taken() -> None:
    bench = Bench()
    bench.push(b"a")
    bench.outbox.seal()
    bench.push(b"b", bytes(1000))
    await asyncio.sleep(0)
    bench.push(b"c")
    await asyncio.sleep(0)
    assert bench.writer.writes == [b"a"]
    assert bench.events.overflows == 0


async def test_a_discard_drops_what_waits_and_tells_nobody() -> None:
    bench = Bench(limit=10)
    bench.outbox.pause()
    bench.push(bytes(10))
    bench.outbox.discard()
    bench.push(bytes(100))
    bench.outbox.resume()
    await asyncio.sleep(0)
    assert bench.writer.writes == []
    assert bench.events.overflows == 0


async def test_buffered_is_what_waits_here_and_in_the_writer() -> None:
    bench = Bench(limit=1000)
    bench.writer.waiting = 70
    bench.outbox.pause()
    bench.push(b"abc", b"de")
    assert bench.outbox.buffered == 75
    bench.outbox.resume()
    assert bench.outbox.buffered == 70


@given(st.lists(st.lists(st.binary(max_size=30), max_size=8), max_size=8), st.integers(1, 40))
def test_all_that_is_pushed_while_nobody_pauses_comes_out_in_order(turns: list[list[bytes]], limit: int) -> None:
    async def main() -> None:
        bench = Bench(limit)
        for frames in turns:
            bench.push(*frames)
            await asyncio.sleep(0)
        assert b"".join(bench.writer.writes) == b"".join(frame for frames in turns for frame in frames)
        assert bench.outbox.buffered == 0
        assert bench.events.overflows == 0

    with asyncio.Runner() as runner:
        runner.run(main())


def test_what_can_not_be_scheduled_is_not_queued_and_harms_nothing() -> None:
    bench = Bench(limit=10)
    for _ in range(20):  # more than its limit, all in vain
        with pytest.raises(UsageError, match="no event loop runs"):
            bench.push(b"lost")

    async def main() -> None:
        bench.push(b"1234567890")
        await asyncio.sleep(0)
        assert bench.writer.writes == [b"1234567890"]

    run(main())
    assert not bench.events.overflows


async def test_a_writer_that_fails_once_is_written_to_again(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(FakeWriter):
        def write_frames(self, data: bytes) -> None:
            if data == b"a":
                raise RuntimeError
            super().write_frames(data)

    other = Bench()
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
