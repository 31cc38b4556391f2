"""Reading from a connection, with a parser that all connections share."""

from __future__ import annotations

import pytest

from crosswire.core.frames import Opcode
from crosswire.runtime import environment
from crosswire.transport.picows_parser import IDLE_PARSERS, WITHOUT_GROWTH, FrameParser, FrameParsers
from crosswire.transport.piece_reader import MAX_PIECE
from tests.support.aio import wait_until
from tests.support.attacks import frame
from tests.support.reading import MAX_MESSAGE, Reading, frames_of


def a_close(payload: bytes) -> bytes:
    return frame(0x88, payload)


async def test_a_connection_that_waits_for_its_next_message_has_no_parser() -> None:
    parsers = FrameParsers(MAX_MESSAGE)
    several = [Reading(parsers=parsers) for _ in range(3)]
    for number, each in enumerate(several):
        each.read(frames_of([b"%d" % number]))
        await each.read_all(frames_of([b"more"] * 400))  # in pieces
    assert [each.connection.payloads[0] for each in several] == [b"0", b"1", b"2"]
    assert all(each.parser is None for each in several)
    assert len(parsers._idle) == 1


async def test_parts_of_frames_of_several_connections_do_not_mix() -> None:
    parsers = FrameParsers(MAX_MESSAGE)
    several = [Reading(parsers=parsers) for _ in range(IDLE_PARSERS + 2)]
    for each in several:
        each.read(frames_of([b"whole", b"a part"])[:-3])
    assert len({each.parser for each in several}) == len(several)
    for each in several:
        each.read(frames_of([b"a part"])[-3:])
        assert each.connection.payloads == [b"whole", b"a part"]
        assert each.parser is None
    assert len(parsers._idle) == IDLE_PARSERS


class ParsersSomeAligned(FrameParsers):
    """Parsers that are aligned as a test says, one after the other, and then never."""

    def __init__(self, *aligned: bool) -> None:
        super().__init__(MAX_MESSAGE)
        self.aligned = list(aligned)

    def _make(self) -> FrameParser:
        parser = super()._make()
        parser.is_aligned = bool(self.aligned) and self.aligned.pop(0)
        return parser


async def test_the_shared_parser_is_an_aligned_one_if_there_is_any() -> None:
    assert ParsersSomeAligned(False, False, True).prepare().is_aligned
    assert not ParsersSomeAligned().prepare().is_aligned


async def test_an_aligned_parser_that_is_given_back_is_the_shared_one_again() -> None:
    parsers = ParsersSomeAligned(True)
    reading = Reading(parsers=parsers)
    aligned = parsers.prepare()
    reading.read(frames_of([b"a part"])[:-3])
    assert reading.parser is aligned
    assert parsers.shared is not aligned
    reading.read(frames_of([b"a part"])[-3:])
    reading.read(frames_of([b"whole"]))
    assert reading.connection.payloads == [b"a part", b"whole"]
    assert parsers.shared is aligned
    assert len(parsers._idle) == 1


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
        assert reading.parser is None


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
    assert one.connection.has_failed
    other.read(frames_of([b"other"]))
    assert other.connection.payloads == [b"other"]
    assert not other.connection.refused


async def test_the_parser_of_a_connection_that_is_lost_is_dropped() -> None:
    parsers = FrameParsers(MAX_MESSAGE)
    reading = Reading(parsers=parsers)
    reading.read(frames_of([b"a part"])[:-3])
    reading.reader.connection_lost(None)
    assert reading.connection.is_lost
    assert reading.parser is None
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
    texts = ["whole", "", "t" * 125, "t" * 126, "t" * (WITHOUT_GROWTH - 8)]
    for text in texts:
        reading.read(frame(Opcode.TEXT, text.encode()))
    assert reading.connection.texts == texts
    assert reading.parser is None
    others = [
        frame(Opcode.BINARY, b"b"),
        frame(Opcode.TEXT, b"t" * (WITHOUT_GROWTH - 7)),  # it would let the buffer grow
        frame(Opcode.TEXT, b"parts", final=False),
        frame(Opcode.CONTINUATION, b"of one"),
    ]
    for data in others:
        reading.read(data)
    whole = frame(Opcode.TEXT, b"whole")
    for part in (whole[:3], whole[3:]):
        reading.read(part)
    assert reading.connection.texts == texts
    expected = [b"b", b"t" * (WITHOUT_GROWTH - 7), b"parts", b"of one", b"whole"]
    assert reading.connection.payloads[len(texts) :] == expected


async def with_quick_messages(monkeypatch: pytest.MonkeyPatch, data: bytes) -> Reading:
    """Return a reader that has read so many quick messages that its pieces are as large as they may be."""
    reading = Reading()
    monkeypatch.setattr(environment, "perf_counter", reading.connection.clock)
    for _ in range(4):
        await reading.read_all(data)
    assert reading.pieces.piece == MAX_PIECE
    reading.connection.texts.clear()
    reading.connection.payloads.clear()
    return reading


@pytest.mark.parametrize("length", [60, 90, 130])
async def test_whole_text_messages_that_share_a_read_are_known_too(
    monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    texts = ["t" * length + str(number) for number in range(7)]
    whole = b"".join(frame(Opcode.TEXT, text.encode()) for text in texts)
    reading = await with_quick_messages(monkeypatch, whole)
    reading.read(frame(Opcode.BINARY, b"in front") + whole + frame(Opcode.BINARY, b"behind"))
    assert reading.connection.texts == texts
    assert reading.connection.payloads == [b"in front", *(text.encode() for text in texts), b"behind"]
    assert reading.parser is None


async def test_slow_messages_that_share_a_read_go_in_smaller_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = frame(Opcode.TEXT, b"t" * 90) * 8
    reading = await with_quick_messages(monkeypatch, whole)
    reading.connection.seconds = 0.001
    handed_over = list[int]()
    for _ in range(5):
        reading.read(whole)
        handed_over.append(len(reading.connection.payloads))
        await wait_until(lambda: reading.transport.reading)
        assert len(reading.connection.payloads) == 8
        reading.connection.payloads.clear()
    assert handed_over[0] == 8
    assert handed_over[1] < 8
    assert handed_over[-1] <= 2


async def test_a_text_message_behind_another_that_ends_the_taking_of_texts_goes_to_the_connection() -> None:
    reading = Reading()

    def stop() -> None:
        reading.connection.takes_texts = False

    reading.connection.on_frame = stop
    reading.read(frame(Opcode.TEXT, b"one") + frame(Opcode.TEXT, b"two"))
    assert reading.connection.texts == ["one"]
    assert reading.connection.payloads == [b"one", b"two"]


async def test_a_text_message_among_others_that_is_no_utf8_is_told() -> None:
    reading = Reading()
    reading.read(frame(Opcode.TEXT, b"one") + frame(Opcode.TEXT, b"\xff") + frame(Opcode.TEXT, b"three"))
    assert reading.connection.is_invalid
    assert reading.connection.texts == ["one", "three"], "whether the third is received is up to the connection"


async def test_a_text_message_goes_to_the_connection_while_its_receiver_takes_none() -> None:
    reading = Reading()
    reading.connection.takes_texts = False
    reading.read(frame(Opcode.TEXT, b"in the middle of a message"))
    assert reading.connection.texts == []
    assert reading.connection.payloads == [b"in the middle of a message"]


async def test_a_whole_text_message_that_is_no_utf8_harms_no_other() -> None:
    one = Reading()
    one.read(frame(Opcode.TEXT, b"\xff"))
    assert one.connection.is_invalid
    assert one.connection.texts == []
    other = Reading(parsers=one.parsers)
    other.read(frame(Opcode.TEXT, b"other"))
    assert other.connection.texts == ["other"]
    assert not other.connection.is_invalid


async def test_a_message_whose_receiver_fails_ends_its_connection_alone() -> None:
    def fail() -> None:
        raise ValueError("on purpose")

    one = Reading()
    one.connection.on_frame = fail
    one.read(frame(Opcode.TEXT, b"one"))
    assert one.connection.has_failed
    other = Reading(parsers=one.parsers)
    other.read(frame(Opcode.TEXT, b"other"))
    assert other.connection.texts == ["other"]


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
