from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core import messages
from crosswire.core.messages import CLIENT_MSGPACK, JSON, MSGPACK, NODE_MSGPACK, Codec
from crosswire.core.payload_types import ANY, PayloadType
from crosswire.errors import EventError, InvalidMessage, InvalidPayload

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
payloads = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
ids = st.text(min_size=1, max_size=64)
codecs = pytest.mark.parametrize(
    "codec", [JSON, MSGPACK, CLIENT_MSGPACK, NODE_MSGPACK], ids=["json", "msgpack", "client", "node"]
)
full = EventError("full", "the room is full")

WIRE: list[tuple[Any, bytes]] = [
    (messages.event("say", {"a": 1}), b'{"event":"say","payload":{"a":1}}'),
    (messages.event("say", None), b'{"event":"say","payload":null}'),
    (messages.client_call("say", 1, "x"), b'{"event":"say","payload":1,"callbackId":"x"}'),
    (messages.answer("x", [1]), b'{"payload":[1],"callbackId":"x"}'),
    (messages.answer("x", None), b'{"payload":null,"callbackId":"x"}'),
    (messages.refusal("x", full), b'{"callbackId":"x","error":{"code":"full","message":"the room is full"}}'),
    (messages.server_call("say", 1, "x"), b'{"event":"say","payload":1,"callId":"x"}'),
    (messages.server_call_answer("x", 1), b'{"callId":"x","payload":1}'),
    (messages.server_call_refusal("x", full), b'{"callId":"x","error":{"code":"full","message":"the room is full"}}'),
]


@pytest.mark.parametrize(("message", "wire"), WIRE)
def test_messages_have_the_originals_keys_in_its_order(message: Any, wire: bytes) -> None:
    assert JSON.encode(message) == wire
    assert list(msgspec.msgpack.decode(MSGPACK.encode(message))) == list(msgspec.json.decode(wire))
    assert msgspec.msgpack.decode(MSGPACK.encode(message)) == msgspec.json.decode(wire)


@codecs
@given(name=st.text(), payload=payloads, call_id=ids)
def test_a_call_can_be_read_back(codec: Codec, name: str, payload: Any, call_id: str) -> None:
    message = codec.decode(codec.encode(messages.client_call(name, payload, call_id)))
    assert (message.event, message.callback_id, message.call_id) == (name, call_id, None)
    assert codec.payload(ANY, message.payload) == payload


@codecs
@given(payload=payloads, call_id=ids)
def test_an_answer_can_be_read_back(codec: Codec, payload: Any, call_id: str) -> None:
    message = codec.decode(codec.encode(messages.server_call_answer(call_id, payload)))
    assert (message.event, message.callback_id, message.call_id, message.error) == (None, None, call_id, None)
    assert codec.payload(ANY, message.payload) == payload


@codecs
@pytest.mark.parametrize("make", [messages.refusal, messages.server_call_refusal])
def test_a_refusal_can_be_read_back(codec: Codec, make: Callable[[str, EventError], msgspec.Struct]) -> None:
    message = codec.decode(codec.encode(make("x", full)))
    assert message.error == messages.Refusal("full", "the room is full")
    assert "x" in (message.callback_id, message.call_id)


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


def test_of_a_key_given_twice_the_last_counts() -> None:
    message = JSON.decode('{"event":"a","payload":1,"event":"b","payload":2}')
    assert (message.event, JSON.payload(ANY, message.payload)) == ("b", 2)


def test_unknown_keys_are_ignored() -> None:
    assert JSON.decode('{"__proto__":{"event":"a"},"event":"b","deep":[[{}]]}').event == "b"


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
