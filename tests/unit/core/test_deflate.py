from __future__ import annotations

import random
import time
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.deflate import LARGE, agree, compress, decompress, response
from crosswire.core.headers import Headers
from crosswire.errors import ProtocolFailure


def code_of(payload: bytes, limit: int) -> int:
    with pytest.raises(ProtocolFailure) as caught:
        decompress(payload, limit)
    return caught.value.close_code


@given(st.binary(max_size=2000))
def test_compression_can_be_undone(payload: bytes) -> None:
    assert decompress(compress(payload), len(payload)) == payload


@given(st.binary(min_size=1, max_size=200), st.integers(1, 50))
def test_the_limit_is_of_the_decompressed_message(payload: bytes, over: int) -> None:
    limit = max(len(payload) - over, 0)
    assert code_of(compress(payload), limit) == 1009


def test_a_message_is_smaller_compressed_and_needs_no_other() -> None:
    payload = b"crosswire " * 100
    assert compress(payload) == compress(payload)
    assert len(compress(payload)) < len(payload) / 10


def test_a_bomb_is_stopped_at_the_limit() -> None:
    bomb = compress(bytes(64 << 20))
    tracemalloc.start()
    try:
        assert code_of(bomb, 1 << 16) == 1009
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("payload", [b"\xff\xff\xff", b"\x07", b"not deflate"])
def test_an_invalid_deflate_stream_is_refused(payload: bytes) -> None:
    assert code_of(payload, 100) == 1007


@given(st.binary(max_size=100))
def test_any_bytes_are_decompressed_within_the_limit_or_refused(payload: bytes) -> None:
    try:
        outcome = len(decompress(payload, 50))
    except ProtocolFailure as error:
        outcome = error.close_code
    assert outcome in (*range(51), 1007, 1009)


def test_no_bytes_are_an_empty_message() -> None:
    assert decompress(b"", 100) == decompress(compress(b""), 100) == b""


def last_block(payload: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(payload) + compressor.flush(zlib.Z_FINISH)


@pytest.mark.parametrize("behind", [b"", b"\0"])
def test_a_stream_that_ends_with_a_final_block_is_read(behind: bytes) -> None:
    assert decompress(last_block(b"hello") + behind, 100) == b"hello"  # RFC 7692, section 7.2.3.5


@pytest.mark.parametrize("behind", [b"\0\0", b"x", compress(b"more"), last_block(b"more")])
def test_bytes_behind_the_final_block_are_refused(behind: bytes) -> None:
    assert code_of(last_block(b"hello") + behind, 100) == 1007


def test_a_message_that_is_cut_short_is_no_shorter_message() -> None:
    packed = compress(b"".join(b"line %d\n" % (number * number) for number in range(200)))
    for end in range(1, len(packed)):
        assert code_of(packed[:end], 10_000) == 1007


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        'permessage-deflate;client_max_window_bits="10"',
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=15",
        "x-webkit-deflate-frame, permessage-deflate",
        "permessage-deflate; server_max_window_bits=8, permessage-deflate",
        "permessage-deflate; server_max_window_bits=15",
    ],
)
def test_an_offer_that_can_be_met_is_taken(offer: str) -> None:
    assert agree(Headers([("Sec-WebSocket-Extensions", offer)])) == 15


@pytest.mark.parametrize(("asked", "agreed"), [(9, 9), (10, 9), (11, 9), (12, 12), (13, 12), (14, 12), (15, 15)])
def test_the_window_is_the_largest_of_ours_within_the_one_that_the_client_asks_for(asked: int, agreed: int) -> None:
    offers = f'permessage-deflate; server_max_window_bits="{asked}"; client_max_window_bits, permessage-deflate'
    assert agree(Headers([("Sec-WebSocket-Extensions", offers)])) == agreed
    assert ("server_max_window_bits" in response(agreed)) == (agreed < 15)


@pytest.mark.parametrize("bits", [9, 12, 15])
@given(payload=st.binary(max_size=100) | st.binary(max_size=50).map(lambda data: data * 900))
def test_a_client_needs_no_larger_window_than_was_agreed(bits: int, payload: bytes) -> None:
    client = zlib.decompressobj(-bits)
    assert client.decompress(compress(payload, bits) + b"\x00\x00\xff\xff") == payload


@pytest.mark.parametrize(
    "offer",
    [
        "",
        "permessage-bzip2",
        "permessage-deflate-frame",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; unknown",
        "permessage-deflate; ",
    ],
)
def test_an_offer_that_cannot_be_met_is_declined(offer: str) -> None:
    assert not agree(Headers([("Sec-WebSocket-Extensions", offer)]))


def test_offers_may_be_in_several_fields() -> None:
    fields = [("Sec-WebSocket-Extensions", "foo"), ("sec-websocket-extensions", "permessage-deflate")]
    assert agree(Headers(fields)) == 15
    assert not agree(Headers())


@pytest.mark.parametrize("window_bits", [9, 12, 15])
@pytest.mark.parametrize("size", [LARGE - 1, 1024 * 1024])
def test_no_message_takes_long_to_be_compressed(size: int, window_bits: int) -> None:
    payload = bytes(random.Random(1).choices(b"abcdefgh", k=size))  # zlib's default takes 130 ms for a MiB of it
    seconds = []
    for _ in range(3):
        began = time.thread_time()
        compress(payload, window_bits)
        seconds.append(time.thread_time() - began)
    assert min(seconds) < 0.05
    assert len(compress(payload, window_bits)) < size * 0.6
