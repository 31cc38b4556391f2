from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.deflate import MIN_SIZE, decompress
from crosswire.core.formats import JSON_TEXT, Payloads, format_for, require_text
from crosswire.core.frames import Opcode, encode_frame
from crosswire.core.messages import JSON, MSGPACK, event
from crosswire.errors import InvalidPayload

SMALL = event("say", 1)
LARGE = event("say", "x" * MIN_SIZE)


def test_json_goes_into_text_frames() -> None:
    assert JSON_TEXT.frame(SMALL) == encode_frame(Opcode.TEXT, JSON.encode(SMALL))


def test_messagepack_goes_into_binary_frames() -> None:
    form = format_for(msgpack=True, deflate=False)
    assert form.frame(SMALL) == encode_frame(Opcode.BINARY, MSGPACK.encode(SMALL))


@pytest.mark.parametrize("msgpack", [False, True])
def test_large_messages_are_compressed_if_that_was_negotiated(msgpack: bool) -> None:
    form = format_for(msgpack=msgpack, deflate=True)
    frame = form.frame(LARGE)
    assert frame[0] == (0xC2 if msgpack else 0xC1)
    assert decompress(frame[2:], 10_000) == form.codec.encode(LARGE)


@pytest.mark.parametrize("msgpack", [False, True])
def test_what_is_small_or_not_negotiated_is_sent_as_it_is(msgpack: bool) -> None:
    plain, deflated = (format_for(msgpack=msgpack, deflate=deflate) for deflate in (False, True))
    assert deflated.frame(SMALL) == plain.frame(SMALL)
    assert plain.frame(LARGE)[0] == (0x82 if msgpack else 0x81)


def test_compression_begins_at_a_size() -> None:
    form = format_for(msgpack=False, deflate=True)
    assert form.raw(Opcode.TEXT, b"x" * (MIN_SIZE - 1)) == encode_frame(Opcode.TEXT, b"x" * (MIN_SIZE - 1))
    assert form.raw(Opcode.BINARY, b"x" * MIN_SIZE)[0] == 0xC2


def test_a_raw_payload_keeps_its_opcode() -> None:
    assert format_for(msgpack=True, deflate=False).raw(Opcode.TEXT, b"hi") == b"\x81\x02hi"


def test_connections_of_the_same_kind_share_a_format() -> None:
    assert format_for(msgpack=False, deflate=False) is JSON_TEXT
    kinds = {format_for(msgpack=m, deflate=d) for m in (False, True) for d in (False, True)}
    assert len(kinds) == 4
    assert format_for(msgpack=True, deflate=True) in kinds


def test_what_was_encoded_as_json_alone_becomes_messagepack_where_it_is_wanted() -> None:
    form = format_for(msgpack=True, deflate=False)
    assert form.wrap(Payloads(JSON.encode(SMALL))) == form.frame(SMALL)


@pytest.mark.parametrize("json", [b"", b"{", b"no json", b'{"a":1}x', b"NaN", b"[" * 100_000])
def test_what_is_no_json_does_not_become_messagepack(json: bytes) -> None:
    with pytest.raises(InvalidPayload):
        format_for(msgpack=True, deflate=False).wrap(Payloads(json))


@given(st.text())
def test_any_text_may_go_into_a_text_frame(text: str) -> None:
    assert require_text(text.encode()) == text.encode()


@pytest.mark.parametrize("data", [b"\xff", b"{}\x80", b"\xed\xa0\x80", b"\xc3", b"\xf8\x88\x80\x80\x80"])
def test_what_is_no_utf8_may_not(data: bytes) -> None:
    with pytest.raises(InvalidPayload, match="no text"):
        require_text(data)
