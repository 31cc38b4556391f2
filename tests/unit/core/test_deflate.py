from __future__ import annotations

import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.deflate import compress, decompress, offered
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


def test_a_stream_that_ends_with_a_final_block_is_read() -> None:
    compressor = zlib.compressobj(wbits=-15)
    payload = compressor.compress(b"hello") + compressor.flush(zlib.Z_FINISH) + b"\0"  # RFC 7692, section 7.2.3.5
    assert decompress(payload, 100) == b"hello"


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        'permessage-deflate;client_max_window_bits="10"',
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=15",
        "x-webkit-deflate-frame, permessage-deflate",
        "permessage-deflate; server_max_window_bits=10, permessage-deflate",
    ],
)
def test_an_offer_that_can_be_met_is_taken(offer: str) -> None:
    assert offered(Headers([("Sec-WebSocket-Extensions", offer)]))


@pytest.mark.parametrize(
    "offer",
    [
        "",
        "permessage-bzip2",
        "permessage-deflate-frame",
        "permessage-deflate; server_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; unknown",
        "permessage-deflate; ",
    ],
)
def test_an_offer_that_cannot_be_met_is_declined(offer: str) -> None:
    assert not offered(Headers([("Sec-WebSocket-Extensions", offer)]))


def test_offers_may_be_in_several_fields() -> None:
    fields = [("Sec-WebSocket-Extensions", "foo"), ("sec-websocket-extensions", "permessage-deflate")]
    assert offered(Headers(fields))
    assert not offered(Headers())
