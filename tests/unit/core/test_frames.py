from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.frames import MAX_REASON, Opcode, close_payload, encode_frame, frame_size, whole_close


def decode_frame(frame: bytes) -> tuple[int, int, int, bytes]:
    """Read one unmasked frame back: FIN, the reserved bits, the opcode and the payload (RFC 6455, section 5.2)."""
    first, length = frame[0], frame[1]
    start = 2
    if length == 126:
        (length,) = struct.unpack_from("!H", frame, 2)
        start = 4
    elif length == 127:
        (length,) = struct.unpack_from("!Q", frame, 2)
        start = 10
    assert len(frame) == start + length
    return first >> 7, first >> 4 & 0b111, first & 0b1111, frame[start:]


@given(st.sampled_from(Opcode), st.binary(max_size=300), st.booleans())
def test_a_frame_can_be_read_back(opcode: Opcode, payload: bytes, rsv1: bool) -> None:
    assert decode_frame(encode_frame(opcode, payload, rsv1=rsv1)) == (1, 0b100 if rsv1 else 0, opcode, payload)


@pytest.mark.parametrize(
    ("length", "header"),
    [
        (0, "8100"),
        (125, "817d"),
        (126, "817e007e"),
        (65535, "817effff"),
        (65536, "817f0000000000010000"),
    ],
)
def test_the_length_takes_the_shortest_form(length: int, header: str) -> None:
    assert encode_frame(Opcode.TEXT, b"x" * length) == bytes.fromhex(header) + b"x" * length


@pytest.mark.parametrize(("length", "header"), [(1, "c201"), (200, "c27e00c8"), (70000, "c27f0000000000011170")])
def test_a_compressed_frame_is_marked(length: int, header: str) -> None:
    assert encode_frame(Opcode.BINARY, b"x" * length, rsv1=True).startswith(bytes.fromhex(header))


def test_a_close_without_a_code_is_empty() -> None:
    assert close_payload(None, "why") == b""


def test_a_close_is_its_code_and_its_reason() -> None:
    assert close_payload(4011, "no größer") == b"\x0f\xab" + "no größer".encode()
    assert close_payload(1000) == b"\x03\xe8"


@given(st.integers(1000, 4999), st.text(max_size=200))
def test_a_reason_is_cut_between_characters_to_fit_a_control_frame(code: int, reason: str) -> None:
    payload = close_payload(code, reason)
    assert len(payload) <= 125
    kept = payload[2:].decode()
    assert reason.startswith(kept)
    assert kept == reason or len(kept.encode()) > MAX_REASON - 4


def test_a_lone_surrogate_in_a_reason_is_replaced() -> None:
    assert close_payload(1000, "a\ud800b")[2:] == b"a?b"


@given(st.binary(max_size=70000), st.booleans(), st.binary(max_size=20))
def test_the_size_of_a_frame_is_known_once_its_header_is_there(payload: bytes, mask: bool, rest: bytes) -> None:
    encoded = encode_frame(Opcode.BINARY, payload)
    header = encoded[: len(encoded) - len(payload)]
    if mask:
        header = header[:1] + bytes((header[1] | 0x80,)) + header[2:]
    whole = header + bytes(4 if mask else 0) + payload
    assert frame_size(whole + rest) == frame_size(header) == len(whole)
    assert not any(frame_size(header[:size]) for size in range(len(header)))


@given(st.binary(max_size=125), st.binary(min_size=4, max_size=4))
def test_the_payload_of_a_whole_close_is_unmasked(payload: bytes, mask: bytes) -> None:
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    frame = bytes((0x88, 0x80 | len(payload))) + mask + masked
    assert whole_close(frame) == payload
    assert whole_close(frame[:-1]) is None
    assert whole_close(frame + b"x") is None


@pytest.mark.parametrize(
    "data",
    [b"", b"\x88", b"\x88\x00", b"\x88\x02\x03\xe8", b"\x08\x80mask", b"\xc8\x80mask", b"\x89\x80mask"],
    ids=["nothing", "a byte", "unmasked", "unmasked with a code", "a fragment", "a reserved bit", "a ping"],
)
def test_other_frames_are_no_whole_close(data: bytes) -> None:
    assert whole_close(data) is None


def test_a_close_that_is_too_long_is_none() -> None:
    assert whole_close(b"\x88\xfe" + bytes(4 + 126)) is None
