from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.assembler import Assembler, decode_text
from crosswire.core.frames import Opcode
from crosswire.errors import ProtocolFailure

cuts = st.lists(st.integers(0, 200), min_size=1, max_size=8)


def pieces_of(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def join(assembler: Assembler, opcode: Opcode, pieces: list[bytes], *, compressed: bool = False) -> str | bytes | None:
    assembler.begin(opcode, pieces[0], compressed=compressed)
    for piece in pieces[1:-1]:
        assert assembler.add(piece, final=False) is None
        assert assembler.active
    return assembler.add(pieces[-1], final=True)


def failure(assembler: Assembler, opcode: Opcode, pieces: list[bytes]) -> int | None:
    try:
        join(assembler, opcode, pieces)
    except ProtocolFailure as error:
        return error.close_code
    return None


@given(st.text(max_size=100), cuts)
def test_text_cut_anywhere_is_joined(text: str, places: list[int]) -> None:
    assembler = Assembler(1000, 100)
    assert join(assembler, Opcode.TEXT, pieces_of(text.encode(), places)) == text
    assert not assembler.active


@given(st.binary(max_size=100), cuts)
def test_bytes_cut_anywhere_are_joined(data: bytes, places: list[int]) -> None:
    assembler = Assembler(1000, 100)
    assert join(assembler, Opcode.BINARY, pieces_of(data, places)) == data
    assert assembler.opcode is Opcode.BINARY


@given(st.binary(max_size=100), cuts)
def test_compressed_text_is_joined_unchecked(data: bytes, places: list[int]) -> None:
    assembler = Assembler(1000, 100)
    assert join(assembler, Opcode.TEXT, pieces_of(data, places), compressed=True) == data
    assert (assembler.opcode, assembler.compressed) == (Opcode.TEXT, True)


@given(st.text(max_size=20), st.binary(max_size=20), cuts)
def test_one_message_leaves_nothing_to_the_next(text: str, data: bytes, places: list[int]) -> None:
    assembler = Assembler(100, 20)
    for _ in range(5):
        assert join(assembler, Opcode.TEXT, pieces_of(text.encode(), places)) == text
        assert join(assembler, Opcode.BINARY, pieces_of(data, places), compressed=True) == data
        assert join(assembler, Opcode.BINARY, pieces_of(data, places)) == data
        assert not assembler.compressed


@given(st.binary(max_size=60), cuts)
def test_text_is_accepted_exactly_when_it_is_utf8(data: bytes, places: list[int]) -> None:
    try:
        expected = None if data.decode() is not None else 0
    except UnicodeDecodeError:
        expected = 1007
    assert failure(Assembler(1000, 100), Opcode.TEXT, pieces_of(data, places)) == expected


def test_bad_text_is_refused_at_the_fragment_it_is_in() -> None:
    assembler = Assembler(1000, 100)
    assembler.begin(Opcode.TEXT, b"\xce")
    assembler.add(b"\xba\xf4", final=False)
    with pytest.raises(ProtocolFailure) as caught:
        assembler.add(b"\x90", final=False)  # past U+10FFFF: no continuation can make it valid
    assert caught.value.close_code == 1007


@given(st.integers(1, 50), st.integers(0, 100), cuts)
def test_the_limit_of_bytes_is_of_the_whole_message(limit: int, size: int, places: list[int]) -> None:
    code = failure(Assembler(limit, 100), Opcode.BINARY, pieces_of(b"x" * size, places))
    assert code == (1009 if size > limit else None)


@given(st.integers(1, 10), st.integers(2, 20))
def test_the_limit_of_fragments_counts_empty_ones(limit: int, count: int) -> None:
    assert failure(Assembler(10, limit), Opcode.TEXT, [b""] * count) == (1009 if count > limit else None)


def test_too_many_bytes_are_refused_at_once() -> None:
    with pytest.raises(ProtocolFailure) as caught:
        Assembler(3, 10).begin(Opcode.BINARY, b"1234")
    assert caught.value.close_code == 1009


def test_a_message_cannot_begin_inside_another() -> None:
    assembler = Assembler(10, 10)
    assembler.begin(Opcode.TEXT, b"")
    with pytest.raises(ProtocolFailure, match="began inside") as caught:
        assembler.begin(Opcode.TEXT, b"")
    assert caught.value.close_code == 1002


def test_a_continuation_needs_a_beginning() -> None:
    assembler = Assembler(10, 10)
    assert not assembler.active
    with pytest.raises(ProtocolFailure, match="continuation of nothing") as caught:
        assembler.add(b"x", final=True)
    assert caught.value.close_code == 1002


def test_whole_text_is_decoded() -> None:
    assert decode_text("größer".encode()) == "größer"


@pytest.mark.parametrize("data", [b"\xff", b"\xed\xa0\x80", b"\xc0\xaf", b"\xe2\x82"])
def test_whole_text_that_is_no_utf8_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolFailure) as caught:
        decode_text(data)
    assert caught.value.close_code == 1007
