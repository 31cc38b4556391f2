"""Reading from a connection in pieces, with picows' own parser."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picows import WSFrame

from crosswire.core.frames import Opcode
from crosswire.core.limits import Limits
from crosswire.runtime import environment
from crosswire.transport import read_turns
from crosswire.transport.grown_buffers import GrownBuffers
from crosswire.transport.outbox import Outbox
from crosswire.transport.picows_parser import IDLE_PARSERS, INITIAL_ROOM, FrameParsers
from crosswire.transport.picows_reader import KEPT_BUFFER, MAX_PIECE, PicowsReader
from crosswire.transport.read_rate import ReadRate
from crosswire.transport.read_turns import READ_SIZE, ReadTurns
from tests.support import aio
from tests.support.aio import wait_until
from tests.support.attacks import frame
from tests.unit.transport.test_outbox import OutboxUnderTest

MAX_MESSAGE = 1024 * 1024


class FakeTransport:
    """The event loop's transport, as far as it is read from."""

    def __init__(self) -> None:
        self.reading = True
        self.closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self if name == "socket" else default

    def fileno(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def write(self, data: bytes) -> None:
        pass

    def abort(self) -> None:
        self.closing = True


class Recorder:
    """Connection that records payloads, and what else happens."""

    def __init__(self) -> None:
        self.reader: PicowsReader
        self.closes: list[bytes] = []
        self.payloads: list[bytes] = []
        self.is_lost = False
        self.refused: list[bytes] = []
        self.now = 0.0
        self.seconds = 0.0  # that a frame takes
        self.on_frame: Callable[[], None] = lambda: None
        self.own = OutboxUnderTest(limit=MAX_MESSAGE)
        self.texts: list[bytes] = []  # payloads of frames that were known to be text

    @property
    def outbox(self) -> Outbox:
        return self.own.outbox

    def text_frame(self, frame: WSFrame) -> None:
        self.texts.append(frame.get_payload_as_bytes())
        self.frame(frame)

    def frame(self, frame: WSFrame) -> None:
        assert not self.is_lost
        self.payloads.append(frame.get_payload_as_bytes())
        self.now += self.seconds
        self.on_frame()

    def close_frame(self, payload: bytes) -> None:
        self.closes.append(payload)

    def lost(self) -> None:
        self.is_lost = True

    def refuse(self, payload: bytes) -> None:
        self.refused.append(payload)
        self.reader.discard()

    def pause_writing(self) -> None:
        """Ignore a transport that is full."""

    def resume_writing(self) -> None:
        """Ignore a transport that has room."""

    def clock(self) -> float:
        return self.now


class Reading:
    """A reader with all that it needs."""

    def __init__(
        self,
        turns: ReadTurns | None = None,
        rest: bytes = b"",
        rate: ReadRate | None = None,
        parsers: FrameParsers | None = None,
    ) -> None:
        self.transport = FakeTransport()
        self.connection = Recorder()
        self.turns = ReadTurns() if turns is None else turns  # an empty one is false
        self.grown = GrownBuffers()
        self.parsers = parsers or FrameParsers(MAX_MESSAGE)
        loops_transport = cast(asyncio.Transport, self.transport)
        self.reader = PicowsReader(loops_transport, self.connection, self.parsers, self.turns, self.grown, rate)
        self.connection.reader = self.reader
        self.reader.start(rest)

    def read(self, data: bytes) -> int:
        """Let the transport read once; return how many bytes it took."""
        view = self.reader.get_buffer(-1)
        size = min(len(view), len(data))
        view[:size] = data[:size]
        self.reader.buffer_updated(size)
        return size

    async def read_all(self, data: bytes) -> None:
        """Let the transport read all, whenever reading is not paused, and wait until it is handed over."""
        while data:
            data = data[self.read(data) :]
            await wait_until(lambda: self.transport.reading)

    @property
    def room(self) -> int:
        """Bytes of picows' buffer: it is empty between two frames."""
        parser = self.reader._parser
        return INITIAL_ROOM if parser is None else len(parser.get_buffer(-1))


def frames_of(payloads: Iterable[bytes]) -> bytes:
    return b"".join(frame(Opcode.BINARY, each) for each in payloads)


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
    assert reading.reader.shrink(), "what was read behind it waits elsewhere"
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
    reading.reader.fail()
    assert reading.connection.is_lost


async def test_the_buffer_of_a_large_message_is_given_back_between_two_frames(stopped_clock: None) -> None:
    reading = Reading()
    await reading.read_all(frame(Opcode.BINARY, bytes(MAX_MESSAGE)))
    assert reading.room > MAX_MESSAGE
    assert len(reading.grown) == 1
    reading.read(frame(Opcode.BINARY, b"half")[:8])
    assert not reading.reader.shrink(), "a frame has begun"
    reading.read(frame(Opcode.BINARY, b"half")[8:])
    assert reading.reader.shrink()
    assert reading.room == INITIAL_ROOM
    reading.read(frame(Opcode.BINARY, b"next"))
    assert reading.connection.payloads[-2:] == [b"half", b"next"]
    assert not reading.connection.is_lost


async def test_the_buffer_does_not_grow_by_small_frames() -> None:
    reading = Reading()
    for size in (0, 1, 50, 125, 300, 600):
        await reading.read_all(frames_of([bytes(size)] * (100_000 // (size + 6))))
        assert reading.room <= KEPT_BUFFER // 4
    assert reading.reader.shrink()
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
            if cut % 3 == 0:
                reading.reader.shrink()
        assert reading.connection.payloads == payloads
        assert reading.room == reading.reader._room, "what the reader knows of picows' buffer is right"
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


# The parsers


def a_close(payload: bytes) -> bytes:
    return frame(0x88, payload)


async def test_a_connection_that_waits_for_its_next_message_has_no_parser() -> None:
    parsers = FrameParsers(MAX_MESSAGE)
    several = [Reading(parsers=parsers) for _ in range(3)]
    for number, each in enumerate(several):
        each.read(frames_of([b"%d" % number]))
        await each.read_all(frames_of([b"more"] * 400))  # in pieces
    assert [each.connection.payloads[0] for each in several] == [b"0", b"1", b"2"]
    assert all(each.reader._parser is None for each in several)
    assert len(parsers._idle) == 1


async def test_parts_of_frames_of_several_connections_do_not_mix() -> None:
    parsers = FrameParsers(MAX_MESSAGE)
    several = [Reading(parsers=parsers) for _ in range(IDLE_PARSERS + 2)]
    for each in several:
        each.read(frames_of([b"whole", b"a part"])[:-3])
    assert len({each.reader._parser for each in several}) == len(several)
    for each in several:
        each.read(frames_of([b"a part"])[-3:])
        assert each.connection.payloads == [b"whole", b"a part"]
        assert each.reader._parser is None
    assert len(parsers._idle) == IDLE_PARSERS


async def test_a_close_that_comes_alone_needs_no_parser() -> None:
    parsers = FrameParsers(MAX_MESSAGE)
    reading = Reading(parsers=parsers)
    shared = parsers.prepare()
    for payload in (b"", b"\x03\xe8", b"\x03\xe8" + b"x" * 123):
        reading.read(a_close(payload))
        assert reading.connection.closes.pop() == payload
    assert not reading.connection.payloads
    assert parsers.shared is shared


@pytest.mark.parametrize("in_front", [frames_of([b"one"]), b""], ids=["behind a message", "in parts"])
async def test_the_parser_of_a_close_is_lent_to_nobody_else(in_front: bytes) -> None:
    parsers = FrameParsers(MAX_MESSAGE)
    for _ in range(3):
        reading = Reading(parsers=parsers)
        reading.connection.on_frame = lambda: (
            reading.reader.discard() if reading.connection.payloads[-1] == b"\x03\xe8" else None  # noqa: B023
        )
        data = in_front + a_close(b"\x03\xe8")
        reading.read(data[:5])
        reading.read(data[5:])
        assert reading.connection.payloads[-1] == b"\x03\xe8", "picows refuses a second Close"
        assert not reading.connection.refused
        assert not parsers._idle
        assert reading.reader._parser is None


async def test_a_parser_that_was_interrupted_is_lent_to_nobody_else() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    parsers = FrameParsers(MAX_MESSAGE)
    one, other = Reading(parsers=parsers), Reading(parsers=parsers)
    one.connection.on_frame = interrupt
    with pytest.raises(KeyboardInterrupt):
        one.read(frames_of([b"one"] * 3))
    other.read(frames_of([b"other"]))
    assert other.connection.payloads == [b"other"]


async def test_an_answer_that_fails_ends_its_connection_alone() -> None:
    def fail() -> None:
        raise ValueError("on purpose")

    parsers = FrameParsers(MAX_MESSAGE)
    one, other = Reading(parsers=parsers), Reading(parsers=parsers)
    one.connection.on_frame = fail
    one.read(frames_of([b"one"] * 3))
    assert one.connection.refused == [b"\x03\xf3"]
    other.read(frames_of([b"other"]))
    assert other.connection.payloads == [b"other"]
    assert not other.connection.refused


async def test_the_parser_of_a_connection_that_is_lost_is_dropped() -> None:
    parsers = FrameParsers(MAX_MESSAGE)
    reading = Reading(parsers=parsers)
    reading.read(frames_of([b"a part"])[:-3])
    reading.reader.connection_lost(None)
    assert reading.connection.is_lost
    assert reading.reader._parser is None
    assert not parsers._idle


async def after_a_turn_with_one_answer(rest: bytes = b"") -> Reading:
    """Return a reader after a turn of the event loop in which its connection alone was sent something."""
    reading = Reading(rest=rest)
    reading.connection.own.push(b"before ")
    await wait_until(lambda: reading.connection.own.writer.writes == [b"before "])
    reading.connection.own.writer.writes.clear()
    return reading


async def test_the_answers_of_a_lone_read_leave_together_when_it_ends() -> None:
    reading = await after_a_turn_with_one_answer()
    written: list[list[bytes]] = []

    def answer() -> None:
        reading.connection.own.push(reading.connection.payloads[-1])
        written.append(list(reading.connection.own.writer.writes))

    reading.connection.on_frame = answer
    reading.read(frames_of([b"a", b"b"]))
    assert written == [[], []]
    assert reading.connection.own.writer.writes == [b"ab"]


async def test_the_answers_of_a_large_lone_read_leave_in_one_write() -> None:
    reading = await after_a_turn_with_one_answer()
    payloads = [b"%03d" % number for number in range(150)]
    reading.connection.on_frame = lambda: reading.connection.own.push(reading.connection.payloads[-1][:1])
    reading.read(frames_of(payloads))
    assert reading.connection.own.writer.writes == [b"".join(each[:1] for each in reading.connection.payloads)]
    assert len(reading.connection.payloads) > 1


async def test_the_first_read_leaves_its_answers_to_the_end_of_the_turn() -> None:
    reading = Reading()
    reading.connection.on_frame = lambda: reading.connection.own.push(b"a")
    reading.read(frames_of([b"x"]))
    assert reading.connection.own.writer.writes == []
    await wait_until(lambda: reading.connection.own.writer.writes == [b"a"])


async def test_answers_keep_their_place_behind_what_others_have_sent_before() -> None:
    reading = await after_a_turn_with_one_answer()
    reading.connection.own.push(b"from another ")
    reading.connection.on_frame = lambda: reading.connection.own.push(b"answer ")
    reading.read(frames_of([b"x"]))
    reading.connection.own.push(b"from a third")
    assert reading.connection.own.writer.writes == []
    await wait_until(lambda: reading.connection.own.writer.writes == [b"from another answer from a third"])


async def test_a_lone_read_that_fails_leaves_a_working_flusher() -> None:
    reading = await after_a_turn_with_one_answer()

    def interrupted() -> None:
        reading.connection.own.push(b"a")
        raise KeyboardInterrupt

    reading.connection.on_frame = interrupted
    with pytest.raises(KeyboardInterrupt):
        reading.read(frames_of([b"x"]))
    assert reading.connection.own.writer.writes == [b"a"]
    reading.connection.own.push(b"b")
    await wait_until(lambda: reading.connection.own.writer.writes == [b"a", b"b"])


async def test_a_whole_text_message_is_known_and_nothing_else_is_taken_for_one() -> None:
    reading = Reading()
    whole = frame(Opcode.TEXT, b"whole")
    reading.read(whole)
    assert reading.connection.texts == [b"whole"]
    others = [
        frame(Opcode.BINARY, b"b"),
        frame(Opcode.TEXT, b"t" * 126),  # its length is in a longer header
        frame(Opcode.TEXT, b"1") + frame(Opcode.TEXT, b"2"),
        frame(Opcode.TEXT, b"parts", final=False),
        frame(Opcode.CONTINUATION, b"of one"),
    ]
    for data in others:
        reading.read(data)
    for part in (whole[:3], whole[3:]):
        reading.read(part)
    assert reading.connection.texts == [b"whole"]
    expected = [b"whole", b"b", b"t" * 126, b"1", b"2", b"parts", b"of one", b"whole"]
    assert reading.connection.payloads == expected


@pytest.mark.parametrize("length", [5, 125, 126, 1000, 70_000])
async def test_a_part_of_a_text_message_is_never_taken_for_a_whole_one(length: int) -> None:
    whole, parsers = frame(Opcode.TEXT, b"t" * length), FrameParsers(MAX_MESSAGE)
    for cut in range(1, min(len(whole), 260)):  # of 132 bytes, the second one would fit a short message of that size
        one, other = Reading(parsers=parsers), Reading(parsers=parsers)
        one.read(whole[:cut])
        other.read(frame(Opcode.TEXT, b"other"))
        assert other.connection.payloads == [b"other"], cut
        await one.read_all(whole[cut:])
        assert one.connection.payloads == [b"t" * length], cut
        assert not one.connection.texts


async def test_a_text_that_is_too_long_is_refused_though_it_is_whole() -> None:
    reading = Reading(parsers=FrameParsers(10))
    reading.read(frame(Opcode.TEXT, b"t" * 11))
    reading.read(frame(Opcode.TEXT, b"behind it"))
    assert len(reading.connection.refused) == 1
    assert reading.connection.payloads == []
    other = Reading(parsers=reading.parsers)
    other.read(frame(Opcode.TEXT, b"other"))
    assert other.connection.payloads == [b"other"]
