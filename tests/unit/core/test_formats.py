from __future__ import annotations

import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core import messages
from crosswire.core.codecs import JSON, MSGPACK
from crosswire.core.deflate import MIN_SIZE, decompress
from crosswire.core.formats import (
    JSON_TEXT,
    EncodedMessage,
    encode,
    frame_format,
    message_format,
    require_event_text,
    require_events,
)
from crosswire.core.frames import Opcode, encode_frame
from crosswire.core.messages import event
from crosswire.errors import InvalidPayload

SMALL = event("say", 1)
LARGE = event("say", "x" * MIN_SIZE)
GOOD = EncodedMessage(b'{"event":"a"}')


def test_json_goes_into_text_frames() -> None:
    assert JSON_TEXT.encode(SMALL) == encode_frame(Opcode.TEXT, JSON.encode(SMALL))


def test_messagepack_goes_into_binary_frames() -> None:
    form = frame_format(msgpack=True, window_bits=0)
    assert form.encode(SMALL) == encode_frame(Opcode.BINARY, MSGPACK.encode(SMALL))


@pytest.mark.parametrize("msgpack", [False, True])
def test_large_messages_are_compressed_if_that_was_negotiated(msgpack: bool) -> None:
    form = frame_format(msgpack=msgpack, window_bits=15)
    frame = form.encode(LARGE)
    assert frame[0] == (0xC2 if msgpack else 0xC1)
    assert decompress(frame[2:], 10_000) == form.codec.encode(LARGE)


@pytest.mark.parametrize("msgpack", [False, True])
def test_small_messages_are_sent_uncompressed(msgpack: bool) -> None:
    plain, deflated = (frame_format(msgpack=msgpack, window_bits=bits) for bits in (0, 15))
    assert deflated.encode(SMALL) == plain.encode(SMALL)
    assert plain.encode(LARGE)[0] == (0x82 if msgpack else 0x81)


def test_a_small_window_is_kept_to() -> None:
    half = os.urandom(600)
    wide, narrow = (frame_format(msgpack=False, window_bits=bits).raw(Opcode.BINARY, half * 2) for bits in (15, 9))
    assert len(wide) < 800  # the second half is a reference to the first, which a window of 512 bytes does not reach
    assert len(narrow) > 1200
    assert zlib.decompressobj(-9).decompress(narrow[4:]) == half * 2


def test_compression_begins_at_a_size() -> None:
    form = frame_format(msgpack=False, window_bits=15)
    assert form.raw(Opcode.TEXT, b"x" * (MIN_SIZE - 1)) == encode_frame(Opcode.TEXT, b"x" * (MIN_SIZE - 1))
    assert form.raw(Opcode.BINARY, b"x" * MIN_SIZE)[0] == 0xC2


def test_a_raw_payload_keeps_its_opcode() -> None:
    assert frame_format(msgpack=True, window_bits=0).raw(Opcode.TEXT, b"hi") == b"\x81\x02hi"


def test_connections_of_the_same_kind_share_a_format() -> None:
    assert frame_format(msgpack=False, window_bits=0) is JSON_TEXT
    kinds = {frame_format(msgpack=m, window_bits=w) for m in (False, True) for w in (0, 9, 15)}
    assert len(kinds) == 6
    assert frame_format(msgpack=True, window_bits=15) in kinds


def test_encoded_json_is_converted_to_messagepack() -> None:
    form = frame_format(msgpack=True, window_bits=0)
    assert form.wrap(EncodedMessage(JSON.encode(SMALL))) == form.encode(SMALL)


@pytest.mark.parametrize("json", [b"", b"{", b"no json", b'{"a":1}x', b"NaN", b"[" * 100_000])
def test_invalid_json_is_not_converted_to_messagepack(json: bytes) -> None:
    with pytest.raises(InvalidPayload):
        frame_format(msgpack=True, window_bits=0).wrap(EncodedMessage(json))


@given(st.text(min_size=1).filter(lambda event: event[0] != "$"), st.text())
def test_any_event_of_another_node_may_go_to_clients(event: str, text: str) -> None:
    message = encode(messages.event(event, text), msgpack=True)
    require_events((message, message))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no json",
        b"[]",
        b"{}",
        b'{"payload":1}',
        b'{"event":1}',
        b'{"event":""}',
        b'{"event":"$ready"}',
        b'{"event":"a"}{}',
        b'{"event":"a","payload":NaN}',
        b'{"event":"a","payload":' + b"[" * 100_000,
        b'{"event":"a","payload":"\xff"}',
        b'{"event":"a","payload":"\xed\xa0\x80"}',
        b'{"event":"\x80"}',
        b'{"event":"a","callId":"1"}',
        b'{"event":"a","callbackId":"1"}',
        b'{"callbackId":5,"event":"a"}',
        b'{"event":"a","error":{"code":"x"}}',
    ],
)
def test_what_is_no_event_in_json_may_not_go_to_clients(data: bytes) -> None:
    with pytest.raises(InvalidPayload, match="for clients"):
        require_events((EncodedMessage(data),))
    with pytest.raises(InvalidPayload, match="for clients"):
        require_events((GOOD, EncodedMessage(data), GOOD))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"\xc1",
        b"\x81\xa5event\xa0",
        b"\x81\xa5event\xa1a\x00",
        b"\x82\xa5event\xa1a\xa6callId\xa11",
    ],
)
def test_what_is_no_event_in_messagepack_may_not_go_to_clients(data: bytes) -> None:
    with pytest.raises(InvalidPayload, match="for clients"):
        require_events((EncodedMessage(GOOD.json, data),))


@pytest.mark.parametrize(
    "text",
    [
        b'{"event":"news","payload":1}',
        b'{"event":"$set","payload":null,"more":[]}',
        b'{"event":"news","payload":"\\ud83d\\uDE00 \\ud800 \\\\ud800 \\uDFFF"}',
    ],
)
def test_what_an_original_server_sends_to_clients_is_an_event_in_json(text: bytes) -> None:
    assert require_event_text(text) == EncodedMessage(text)


@pytest.mark.parametrize(
    "text", [b"", b"no json", b"{}", b"[1]", b'{"event":1}', b'{"event":"a"}x', b'{"event":"a","payload":"\\ud8"}']
)
def test_what_an_original_server_would_not_send_may_not_go_to_clients(text: bytes) -> None:
    with pytest.raises(InvalidPayload, match="for clients"):
        require_event_text(text)


def test_a_connection_without_frames_gets_text_as_str_and_messagepack_as_bytes() -> None:
    assert message_format(msgpack=False).encode(SMALL) == (JSON.encode(SMALL).decode(),)
    assert message_format(msgpack=True).encode(SMALL) == (MSGPACK.encode(SMALL),)


@pytest.mark.parametrize("message", [encode(SMALL, msgpack=True), encode(SMALL, msgpack=False)])
def test_an_encoded_message_is_the_same_without_frames(message: EncodedMessage) -> None:
    for msgpack in (False, True):
        form = message_format(msgpack=msgpack)
        assert form.wrap(message) == form.encode(SMALL)


def test_raw_messages_without_frames_keep_their_kind() -> None:
    form = message_format(msgpack=False)
    assert form.raw(Opcode.TEXT, "€".encode()) == ("€",)
    assert form.raw(Opcode.BINARY, b"\xff") == (b"\xff",)


def test_messages_without_frames_are_joined_in_order() -> None:
    form = message_format(msgpack=False)
    assert form.join([form.raw(Opcode.TEXT, b"a"), form.raw(Opcode.BINARY, b"b")]) == ("a", b"b")


@pytest.mark.parametrize("msgpack", [False, True])
@pytest.mark.parametrize("window_bits", [0, 15])
def test_several_messages_are_wrapped_as_each_of_them(window_bits: int, msgpack: bool) -> None:
    sent = [encode(each, msgpack=False) for each in (SMALL, LARGE, SMALL)]
    texts = [each.json for each in sent]
    form, other = frame_format(msgpack=msgpack, window_bits=window_bits), message_format(msgpack=msgpack)
    assert form.wrap_texts(texts) == b"".join([form.wrap(message) for message in sent])
    assert other.wrap_texts(texts) == other.join([other.wrap(message) for message in sent])
