from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core import messages
from crosswire.core.codecs import CLIENT_MSGPACK, JSON, MSGPACK, NODE_MSGPACK, Codec
from crosswire.core.payload_types import ANY
from crosswire.errors import EventError

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
    (
        messages.event(messages.ROOM, messages.RoomPosition(("chat", "1"), "k3xQ9a2f.121", True, None)),
        b'{"event":"$room","payload":{"room":["chat","1"],"at":"k3xQ9a2f.121","recovered":true,"reason":null}}',
    ),
    (
        messages.event(messages.LEFT, messages.RoomLeft(("chat", "1"))),
        b'{"event":"$left","payload":{"room":["chat","1"]}}',
    ),
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


def test_of_a_key_given_twice_the_last_counts() -> None:
    message = JSON.decode('{"event":"a","payload":1,"event":"b","payload":2}')
    assert (message.event, JSON.payload(ANY, message.payload)) == ("b", 2)


def test_unknown_keys_are_ignored() -> None:
    assert JSON.decode('{"__proto__":{"event":"a"},"event":"b","deep":[[{}]]}').event == "b"
