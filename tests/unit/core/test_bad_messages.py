from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.codecs import JSON, MSGPACK, Codec
from crosswire.core.messages import MAX_CALL_ID, Message
from crosswire.errors import InvalidMessage

MEBIBYTE = 1 << 20
DEPTH = 100_000

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("x"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["event", "payload", "callbackId", "callId", "error"]) | st.text(), inner)
    ),
    max_leaves=12,
)
fragments = st.sampled_from(
    ['{"event":', '"callbackId":"x"', '"callbackId":', '"a"', ",", "{", "}", "[", "]", '"', "\\", " ", "NaN", "\ud800"]
)
odd_text = st.lists(fragments | st.text(st.characters(), max_size=3), max_size=12).map("".join)


def recovered(data: str | bytes) -> str | None:
    """The id of the call that bad JSON meant to be."""
    with pytest.raises(InvalidMessage) as caught:
        JSON.decode(data)
    return caught.value.callback_id


def is_message_or_refused(codec: Codec, data: str | bytes) -> None:
    try:
        assert type(codec.decode(data)) is Message
    except InvalidMessage as error:
        found = error.callback_id
    else:
        found = None
    assert found is None or 0 < len(found) <= MAX_CALL_ID


@given(odd_text | st.text() | json_values.map(json.dumps))
def test_any_text_is_a_message_or_refused(text: str) -> None:
    is_message_or_refused(JSON, text)
    is_message_or_refused(MSGPACK, text)


@given(st.binary() | odd_text.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    is_message_or_refused(JSON, data)
    is_message_or_refused(MSGPACK, data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"event"',
        '{"event":5}',
        '{"event":{}}',
        '{"event":"e"',
        '{"event":"e","payload":}',
        '{"event":"e","payload":NaN}',
        '{"event":"e","payload":Infinity}',
        '{"event":"e","payload":"\\ud800"}',
        '{"event":"\\udc00"}',
        '{"event":"\ud800"}',
        "{'event':'e'}",
        '{"event":"e",}',
        '{"event":"e"}{}',
        '{"callId":5}',
        '{"error":"text"}',
        '{"error":{}}',
    ],
)
def test_an_invalid_message_is_refused(text: str) -> None:
    assert recovered(text) is None


@pytest.mark.parametrize(
    "payload",
    ["[" * DEPTH + "]" * DEPTH, "[" * DEPTH, '{"a":' * DEPTH + "1" + "}" * DEPTH, "1" * MEBIBYTE + "x"],
)
def test_deep_nesting_and_invalid_numbers_are_refused_with_the_id(payload: str) -> None:
    assert recovered('{"event":"e","callbackId":"x","payload":' + payload + "}") == "x"
    assert recovered('{"event":"e","payload":' + payload + ',"callbackId":"x"}') == "x"


def test_a_huge_integer_is_left_to_the_handler_that_wants_it() -> None:
    message = JSON.decode('{"event":"e","payload":' + "1" * MEBIBYTE + "}")
    assert (message.event, len(bytes(message.payload))) == ("e", MEBIBYTE)


@pytest.mark.parametrize("key", ["event", "callbackId", "callId"])
def test_a_huge_integer_is_no_name(key: str) -> None:
    assert recovered(f'{{"{key}":' + "1" * MEBIBYTE + "}") is None


@pytest.mark.parametrize(
    "data", [b"\x91" * DEPTH + b"\xc0", b"\x81\xa5event" * DEPTH, b"\xdf\xff\xff\xff\xff", b"\xc1"]
)
def test_deep_or_broken_messagepack_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidMessage):
        MSGPACK.decode(data)


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\'), min_size=1, max_size=MAX_CALL_ID)
)
def test_the_id_of_a_bad_call_is_recovered_from_either_end(call_id: str) -> None:
    assert recovered('{"event": 5, "payload": {}, "callbackId": "' + call_id + '"}') == call_id
    assert recovered('{"callbackId": "' + call_id + '", "event": 5}') == call_id
    assert recovered('{ "event" : 5 , "callbackId" : "' + call_id + '", "payload": 1}') == call_id


@given(st.integers(MAX_CALL_ID + 1, 300))
def test_an_id_that_is_too_long_is_not_recovered(length: int) -> None:
    assert recovered('{"event":5,"callbackId":"' + "x" * length + '"}') is None
    assert recovered('{"event":5,"callbackId":"' + "x" * length + '","payload":1}') is None


@pytest.mark.parametrize("call_id", ['""', "5", "null", "[]", '"a\\"b"', '"a\\u0062"', '"a\nb"'])
def test_an_invalid_id_is_not_recovered(call_id: str) -> None:
    assert recovered('{"event":5,"callbackId":' + call_id + "}") is None


def own_id(value: Any) -> str | None:
    found = value.get("callbackId") if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


@given(json_values.filter(lambda value: not isinstance(value, dict)), st.booleans())
def test_a_nested_id_is_never_taken_for_the_messages_own(payload: Any, last: bool) -> None:
    own: dict[str, Any] = {"callbackId": "own"} if last else {}
    nested = {"callbackId": "nested", "payload": payload, "event": {"callbackId": "nested"}}
    for text in (
        json.dumps({"event": 5, "payload": nested, **own}),
        json.dumps({"event": nested, **own}),
        json.dumps([nested, {"callbackId": "nested"}]),
        json.dumps({"event": 5, "payload": [nested, {"callbackId": "nested"}], **own}),
        json.dumps({"event": 5, "payload": json.dumps(nested), **own}),
    ):
        assert recovered(text) == own_id(json.loads(text))


@given(st.dictionaries(st.sampled_from(["payload", "callbackId", "x"]) | st.text(max_size=3), json_values))
def test_a_recovered_id_is_the_messages_own(fields: dict[str, Any]) -> None:
    text = json.dumps({**fields, "event": 5})
    assert recovered(text) in (None, own_id(json.loads(text)))


def test_looking_for_an_id_takes_time_in_proportion_to_the_text() -> None:
    spaces = " " * MEBIBYTE
    for text in (
        spaces + "{" + spaces,
        '{"event"' + spaces + ":" + spaces + "5" + spaces + "," + spaces,
        "{" + spaces + '"callbackId"' + spaces + ":" + spaces,
        '{"event":"' + "x" * MEBIBYTE,
    ):
        assert recovered(text) is None
