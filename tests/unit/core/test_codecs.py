from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from crosswire.core import messages
from crosswire.core.codecs import CLIENT_MSGPACK, JSON, MSGPACK, NODE_MSGPACK, Codec
from crosswire.core.payload_types import ANY, PayloadType
from crosswire.errors import InvalidMessage, InvalidPayload

codecs = pytest.mark.parametrize(
    "codec", [JSON, MSGPACK, CLIENT_MSGPACK, NODE_MSGPACK], ids=["json", "msgpack", "client", "node"]
)


@pytest.mark.parametrize("payload", [b'"\xff"', b'"\xed\xa0\x80"', b'{"\xc3":1}', b'["\\ud800"]'])
def test_json_whose_payload_is_no_text_is_refused_though_nobody_decodes_it(payload: bytes) -> None:
    with pytest.raises(InvalidMessage) as caught:
        JSON.decode(b'{"event":"say","payload":%b,"callbackId":"c1"}' % payload)
    assert caught.value.callback_id == "c1"


def test_json_is_read_from_text_and_from_bytes() -> None:
    wire = '{"event":"größer"}'
    assert JSON.decode(wire).event == JSON.decode(wire.encode()).event == "größer"


@codecs
def test_an_absent_payload_is_none(codec: Codec) -> None:
    message = codec.decode(codec.encode({"event": "say"}))
    assert codec.payload(ANY, message.payload) is None
    with pytest.raises(InvalidPayload):
        codec.payload(PayloadType(int), message.payload)


@codecs
def test_a_payload_is_checked_against_the_type_that_is_asked_for(codec: Codec) -> None:
    message = codec.decode(codec.encode(messages.event("say", {"a": 1})))
    assert codec.payload(PayloadType(dict[str, int]), message.payload) == {"a": 1}
    with pytest.raises(InvalidPayload, match="Expected `str`, got `int`"):
        codec.payload(PayloadType(dict[str, str]), message.payload)


@dataclass
class Point:
    x: int


class Unset(msgspec.Struct):
    x: int


def unset() -> Unset:
    made = Unset(1)
    del made.x
    return made


def deep() -> list[Any]:
    made: list[Any] = []
    for _ in range(100_000):
        made = [made]
    return made


@codecs
@pytest.mark.parametrize(
    ("data", "read"),
    [(Point(1), {"x": 1}), (Unset(2), {"x": 2}), ((1, 2), [1, 2]), ({"b": {3}}, {"b": [3]})],
)
def test_data_may_be_more_than_builtin_types(codec: Codec, data: Any, read: Any) -> None:
    message = codec.decode(codec.encode(messages.event("say", data)))
    assert codec.payload(ANY, message.payload) == read


def test_times_and_bytes_have_a_json_form() -> None:
    assert JSON.encode(datetime(2024, 1, 2, tzinfo=UTC)) == b'"2024-01-02T00:00:00Z"'
    assert JSON.encode(b"x") == b'"eA=="'


@codecs
@pytest.mark.parametrize("make", [object, lambda: "\ud800", lambda: {"\ud800": 1}, unset, deep, lambda: [print]])
def test_data_without_a_form_is_refused(codec: Codec, make: Callable[[], Any]) -> None:
    with pytest.raises(InvalidPayload, match="the data has no"):
        codec.encode(messages.event("say", make()))


def test_an_integer_over_64_bits_is_a_floating_point_number_in_messagepack() -> None:
    assert JSON.encode(2**70) == str(2**70).encode()
    for codec in (MSGPACK, CLIENT_MSGPACK):
        assert msgspec.msgpack.decode(codec.encode(2**70)) == 2.0**70
    with pytest.raises(InvalidPayload, match="no MessagePack form"):
        NODE_MSGPACK.encode(2**70)


def test_a_clients_bytes_travel_as_bytes_and_everything_else_as_in_json() -> None:
    message = messages.event("x", {1: b"a", "t": datetime(2024, 1, 2, tzinfo=UTC), "n": math.nan})
    expected = {"event": "x", "payload": {"1": b"a", "t": "2024-01-02T00:00:00Z", "n": None}}
    assert msgspec.msgpack.decode(CLIENT_MSGPACK.encode(message)) == expected
    read = CLIENT_MSGPACK.decode(CLIENT_MSGPACK.encode(message))
    assert MSGPACK.payload(ANY, read.payload) == expected["payload"]


def test_only_messagepack_is_for_binary_frames() -> None:
    assert (JSON.binary, MSGPACK.binary) == (False, True)
