"""Reading from a connection in pieces, with picows' own parser."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosswire.core.frames import Opcode
from crosswire.core.limits import Limits
from crosswire.runtime import environment
from crosswire.transport import read_turns
from crosswire.transport.picows_parser import INITIAL_ROOM
from crosswire.transport.piece_reader import KEPT_BUFFER, MAX_PIECE
from crosswire.transport.read_rate import ReadRate
from crosswire.transport.read_turns import READ_SIZE, ReadTurns
from tests.support import aio
from tests.support.aio import wait_until
from tests.support.attacks import frame
from tests.support.reading import MAX_MESSAGE, Reading, frames_of


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock, so that nothing has to wait for the next turn on a busy machine."""
    monkeypatch.setattr(environment, "perf_counter", lambda: 0.0)


async def test_a_small_read_is_handed_over_at_once() -> None:
    reading = Reading()
    payloads = [b"%d" % number for number in range(20)]
    reading.read(frames_of(payloads))
    assert reading.connection.payloads == payloads
    assert reading.transport.reading


async def test_what_came_with_the_request_is_handed_over() -> None:
    payloads = [b"%d" % number for number in range(200)]
    reading = Reading(rest=frames_of(payloads))
    await wait_until(lambda: len(reading.connection.payloads) == 200)
    assert reading.connection.payloads == payloads


async def test_a_flood_is_handed_over_in_pieces_between_which_the_loop_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading()
    monkeypatch.setattr(environment, "perf_counter", reading.connection.clock)
    reading.connection.seconds = 0.00001
    payloads = [b"%d" % number for number in range(2000)]
    data = frames_of(payloads)
    data = data[reading.read(data) :]  # picows' own buffer
    turns = 0
    while len(reading.connection.payloads) < len(payloads):
        before = len(reading.connection.payloads)
        if reading.transport.reading and data:
            data = data[reading.read(data) :]
        else:
            await asyncio.sleep(0)
        turns += 1
        handed_over = len(reading.connection.payloads) - before
        assert handed_over <= read_turns.QUANTUM / 0.00001 + MAX_PIECE / 7
    assert turns > 10
    assert reading.connection.payloads == payloads
    assert reading.transport.reading
    assert not reading.turns


async def test_the_slower_the_messages_the_smaller_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading()
    monkeypatch.setattr(environment, "perf_counter", reading.connection.clock)
    reading.connection.seconds = 0.001
    payloads = [b"%06d" % number for number in range(2000)]
    reading.read(frames_of(payloads)[:1500])
    for _ in range(3):
        await asyncio.sleep(0)
    handed_over = 125 - len(reading.connection.payloads)
    await asyncio.sleep(0)
    handed_over -= 125 - len(reading.connection.payloads)
    assert 0 < handed_over <= 64 // 12 + 1
    await wait_until(lambda: reading.transport.reading)
    assert reading.connection.payloads == payloads[: 1500 // 12]


async def test_connections_that_flood_have_their_turns_one_after_the_other() -> None:
    turns = ReadTurns()
    floods = [Reading(turns), Reading(turns), Reading(turns)]
    payloads = [b"%d" % number for number in range(5000)]
    data = frames_of(payloads)
    for each in floods:
        taken = each.read(data)
        each.read(data[taken : taken + READ_SIZE]) if each.transport.reading else None
    most = 0
    while len(turns) == 3:
        await asyncio.sleep(0)
        counts = [len(each.connection.payloads) for each in floods]
        most = max(most, max(counts) - min(counts))
    assert most < 2000, "none is served to its end before the others"
    await wait_until(lambda: not turns)
    for each in floods:
        each.reader.discard()


async def test_nothing_is_handed_over_while_reading_is_paused() -> None:
    reading = Reading()
    payloads = [b"%d" % number for number in range(200)]
    reading.reader.pause()
    assert not reading.transport.reading
    reading.read(frames_of(payloads))  # it was under way
    await asyncio.sleep(0.01)
    assert not reading.connection.payloads
    reading.reader.resume()
    assert not reading.connection.payloads
    await wait_until(lambda: reading.transport.reading)
    assert reading.connection.payloads == payloads


async def test_a_pause_in_the_middle_of_a_flood_keeps_the_rest() -> None:
    reading = Reading()
    payloads = [b"%d" % number for number in range(4000)]
    data = frames_of(payloads)
    data = data[reading.read(data) :]
    await wait_until(lambda: reading.transport.reading)
    taken = reading.read(data)
    assert not reading.transport.reading, "it waits for its turn"
    reading.reader.pause()
    before = list(reading.connection.payloads)
    await asyncio.sleep(0.01)
    assert reading.connection.payloads == before
    reading.reader.resume()
    await wait_until(lambda: reading.transport.reading)
    await reading.read_all(data[taken:])
    assert reading.connection.payloads == payloads


async def test_the_end_of_the_connection_comes_behind_all_that_was_read() -> None:
    reading = Reading()
    payloads = [b"%d" % number for number in range(4000)]
    data = frames_of(payloads)
    reading.read(data)
    await wait_until(lambda: reading.transport.reading)
    reading.read(data[1792 : 1792 + READ_SIZE])
    reading.transport.closing = True
    reading.connection.outbox.allow_direct(7)
    reading.reader.connection_lost(None)
    assert reading.connection.outbox.fd < 0, "the number of the socket may soon be another's"
    reading.reader.pause()  # too late
    assert not reading.connection.is_lost
    await wait_until(lambda: reading.connection.is_lost)
    assert len(reading.connection.payloads) > 3000


async def test_nothing_behind_a_broken_frame_is_read() -> None:
    reading = Reading()
    reading.read(frame(Opcode.TEXT, b"one") + frame(3) + frame(Opcode.TEXT, b"two") * 100)
    reading.read(frame(Opcode.TEXT, b"three"))
    await asyncio.sleep(0.01)
    assert reading.connection.payloads == [b"one"]
    assert len(reading.connection.refused) == 1
    assert reading.transport.reading, "what comes is read, and discarded"


async def test_a_large_message_is_read_in_large_pieces(stopped_clock: None) -> None:
    reading = Reading()
    payload = bytes(512 * 1024)
    data = frame(Opcode.BINARY, payload)
    reads = 0
    while data:
        assert reading.transport.reading
        data = data[reading.read(data) :]
        reads += 1
    assert reading.connection.payloads == [payload]
    assert reads < 12


async def test_large_messages_of_several_connections_are_handled_in_a_turn_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns = ReadTurns()
    several = [Reading(turns), Reading(turns), Reading(turns)]
    now = 0.0

    def take_long() -> None:
        nonlocal now
        now += 2 * read_turns.LONG_TURN

    monkeypatch.setattr(environment, "perf_counter", lambda: now)
    payload = bytes(200_000)
    ends = list[bytes]()
    for each in several:
        each.connection.on_frame = take_long
        data = frame(Opcode.BINARY, payload)
        while len(data) > READ_SIZE:
            data = data[each.read(data) :]
        ends.append(data)
    for each, end in zip(several, ends, strict=True):
        assert each.read(end) == len(end)
    for handled in (1, 2, 3):
        assert sum(len(each.connection.payloads) for each in several) == handled
        await asyncio.sleep(0)
    await wait_until(lambda: not turns)
    assert [each.connection.payloads for each in several] == [[payload]] * 3
    assert all(each.transport.reading for each in several)


async def test_the_buffer_of_a_large_message_is_given_back_while_reading_is_paused(stopped_clock: None) -> None:
    reading = Reading()
    large = frame(Opcode.BINARY, bytes(MAX_MESSAGE))
    while len(large) > READ_SIZE:
        large = large[reading.read(large) :]
    small = frames_of([b"more"] * 400)
    reading.connection.on_frame = reading.reader.pause
    reading.read(large + small)
    assert len(reading.connection.payloads) == 1
    assert reading.room > MAX_MESSAGE
    assert reading.pieces.shrink(), "what was read behind it waits elsewhere"
    assert reading.room == INITIAL_ROOM
    reading.connection.on_frame = lambda: None
    reading.reader.resume()
    await wait_until(lambda: reading.transport.reading)
    received = len(reading.connection.payloads) - 1
    assert received > 100
    assert reading.connection.payloads[1:] == [b"more"] * received


async def test_the_end_of_a_connection_whose_reading_failed_is_passed_on() -> None:
    reading = Reading()
    reading.reader.pause()
    reading.read(frames_of([b"more"] * 10))
    reading.transport.closing = True
    reading.reader.connection_lost(None)
    reading.pieces.fail()
    assert reading.connection.is_lost


async def test_the_buffer_of_a_large_message_is_given_back_between_two_frames(stopped_clock: None) -> None:
    reading = Reading()
    await reading.read_all(frame(Opcode.BINARY, bytes(MAX_MESSAGE)))
    assert reading.room > MAX_MESSAGE
    assert len(reading.grown) == 1
    reading.read(frame(Opcode.BINARY, b"half")[:8])
    assert not reading.pieces.shrink(), "a frame has begun"
    reading.read(frame(Opcode.BINARY, b"half")[8:])
    assert reading.pieces.shrink()
    assert reading.room == INITIAL_ROOM
    reading.read(frame(Opcode.BINARY, b"next"))
    assert reading.connection.payloads[-2:] == [b"half", b"next"]
    assert not reading.connection.is_lost


async def test_the_buffer_does_not_grow_by_small_frames() -> None:
    reading = Reading()
    for size in (0, 1, 50, 125, 300, 600):
        await reading.read_all(frames_of([bytes(size)] * (100_000 // (size + 6))))
        assert reading.room <= KEPT_BUFFER // 4
    assert reading.pieces.shrink()
    assert reading.room == INITIAL_ROOM


_SIZES = st.one_of(
    st.integers(0, 300), st.integers(0, 20_000), st.sampled_from([125, 126, 1500, 65535, 65536, 200_000])
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_SIZES, max_size=12), st.lists(st.integers(1, 70_000), min_size=1, max_size=30))
def test_frames_arrive_whole_however_they_are_cut(sizes: list[int], cuts: list[int]) -> None:
    async def main() -> None:
        reading = Reading()
        payloads = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
        data = frames_of(payloads)
        for cut in [*cuts, len(data)]:
            await reading.read_all(data[:cut])
            data = data[cut:]
            if cut % 3 == 0 and reading.reader._pieces is not None:
                reading.pieces.shrink()
        assert reading.connection.payloads == payloads
        known = INITIAL_ROOM if reading.reader._pieces is None else reading.pieces._room
        assert reading.room == known, "what the reader knows of picows' buffer is right"
        reading.reader.discard()
        reading.reader.connection_lost(None)

    aio.run(main())


async def test_a_connection_over_its_rate_is_held_back_and_loses_nothing(stopped_clock: None) -> None:
    told = list[str]()
    reading = Reading(rate=ReadRate(Limits(message_rate=200, burst=10), told.append))
    payloads = [b"%d" % number for number in range(50)]
    reading.read(frames_of(payloads))
    assert reading.connection.payloads == payloads[:10]
    assert reading.reader.is_held_back
    assert not reading.transport.reading
    reading.reader.pause()
    await asyncio.sleep(0.05)
    assert len(reading.connection.payloads) == 10
    reading.reader.resume()
    await wait_until(lambda: reading.transport.reading)
    assert reading.connection.payloads == payloads
    assert not reading.reader.is_held_back
    assert set(told) == {"message_rate"}


async def test_the_end_of_a_connection_ends_its_wait() -> None:
    reading = Reading(rate=ReadRate(Limits(message_rate=0.001, burst=1), lambda limit: None))
    payloads = [b"%d" % number for number in range(50)]
    reading.read(frames_of(payloads))
    reading.transport.closing = True
    reading.reader.connection_lost(None)
    await wait_until(lambda: reading.connection.is_lost)
    assert reading.connection.payloads == payloads


async def test_a_connection_that_is_gone_is_freed_without_the_garbage_collector() -> None:
    reading = Reading()
    gone = weakref.ref(reading.connection)
    gc.collect()
    gc.disable()
    try:
        reading.reader.connection_lost(None)
        del reading
        assert gone() is None
    finally:
        gc.enable()
