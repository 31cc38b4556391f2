from __future__ import annotations

from contextlib import suppress
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core import envelopes
from crosswire.core.envelopes import (
    HEADER_SIZE,
    MAX_MESSAGES,
    Answer,
    Batch,
    Beat,
    Claim,
    ClientBatch,
    ClientMessage,
    Doubt,
    Envelope,
    Event,
    Goodbye,
    NameTaken,
    NodeRequest,
    PublishedMessage,
    RequestRefusal,
    TextBatch,
    pack_header,
    unpack_header,
)
from crosswire.errors import InvalidMessage, InvalidPayload

_PAYLOAD = envelopes.pack({"a": [1, None]})
EXAMPLES: list[Envelope] = [
    ClientMessage(b'{"event":"x"}', ("1",), b"\x81"),
    ClientMessage(b"{}"),
    ClientBatch([ClientMessage(b"{}"), ClientMessage(b'{"event":"x"}', ("1",), b"\x81", ("a",))]),
    TextBatch([b"{}", b'{"event":"x"}']),
    Claim("ab", 5),
    Event("a", "x", _PAYLOAD),
    NodeRequest("a", "ab", "1", "x", _PAYLOAD),
    Answer("a", "1", _PAYLOAD),
    RequestRefusal("a", "1", "full", "no room"),
    Batch([Event("a", "x", _PAYLOAD), Answer("a", "1", _PAYLOAD), RequestRefusal("a", "1", "full", "")]),
    Beat("a", "ab", 1.5, 7, 3, True, False, ("redis://h",), True, "native"),
    Goodbye("a", "ab", 8),
    NameTaken("a", "ab", True),
    Doubt("a", "ab"),
    PublishedMessage("a", _PAYLOAD),
]


def test_there_is_an_example_of_each_kind() -> None:
    assert {type(example) for example in EXAMPLES} == set(get_args(Envelope))


@pytest.mark.parametrize("envelope", EXAMPLES, ids=lambda envelope: type(envelope).__name__)
def test_encoding_can_be_undone(envelope: Envelope) -> None:
    assert envelopes.decode(envelopes.encode(envelope)) == envelope


@pytest.mark.parametrize("envelope", EXAMPLES, ids=lambda envelope: type(envelope).__name__)
def test_a_field_that_a_later_version_adds_is_ignored(envelope: Envelope) -> None:
    fields = msgspec.msgpack.decode(envelopes.encode(envelope))
    full = len(type(envelope).__struct_fields__) + 1
    if len(fields) == full:
        assert envelopes.decode(msgspec.msgpack.encode([*fields, "new"])) == envelope


@pytest.mark.parametrize("envelope", EXAMPLES, ids=lambda envelope: type(envelope).__name__)
def test_truncated_bytes_are_refused(envelope: Envelope) -> None:
    body = envelopes.encode(envelope)
    for length in range(len(body)):
        with pytest.raises(InvalidMessage):
            envelopes.decode(body[:length])


@given(st.binary(max_size=64))
def test_any_bytes_are_decoded_or_refused(body: bytes) -> None:
    with suppress(InvalidMessage):
        assert isinstance(envelopes.decode(body), get_args(Envelope))


@pytest.mark.parametrize(
    "body",
    [b"\x91" * 100_000, b"\x93\xa1e\xa1a\xa1x" + b"\x91" * 100_000, b"\x92\xa1p", b"\xdd\xff\xff\xff\xff"],
    ids=["deep", "deep payload", "short", "long"],
)
def test_input_made_to_exhaust_memory_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidMessage):
        envelopes.decode(body)


@given(st.binary(min_size=8, max_size=8), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.binary(max_size=9))
def test_the_header_is_in_front_and_its_size_fixed(origin: bytes, number: int, previous: int, body: bytes) -> None:
    header = pack_header(origin, number, previous)
    assert len(header) == HEADER_SIZE
    if previous < number:
        assert unpack_header(header + body) == (origin, number, previous)
    else:  # no message is before itself
        with pytest.raises(InvalidMessage, match="follow"):
            unpack_header(header + body)


@pytest.mark.parametrize("message", [b"", bytes([1]) * (HEADER_SIZE - 1), bytes([2]) * 50, b'{"data":{}}' * 5])
def test_bytes_without_the_header_are_refused(message: bytes) -> None:
    with pytest.raises(InvalidMessage):
        unpack_header(message)


@pytest.mark.parametrize("data", [None, 0, "é", [1, {"a": b"\xff"}], {"k": 1.5}, {1: 2}])
def test_data_is_packed_as_messagepack(data: Any) -> None:
    assert msgspec.msgpack.decode(envelopes.pack(data)) == data


@pytest.mark.parametrize(
    "data", [object(), 2**64, {"a": {1, object()}}, "\ud800"], ids=["object", "integer", "nested", "text"]
)
def test_data_without_a_messagepack_form_raises(data: Any) -> None:
    with pytest.raises(InvalidPayload, match="MessagePack"):
        envelopes.pack(data)


def test_a_tuple_looks_like_the_struct_of_its_tag() -> None:
    data = {"a": [1, None, b"bytes"]}
    answer = Answer("b", "1", envelopes.pack(data))
    assert envelopes.encode(("r", "b", "1", data)) == envelopes.encode(answer)
    for traceparent in (None, "00-1-2-01"):
        request = NodeRequest("b", "0" * 16, "1", "x", envelopes.pack(data), traceparent)
        assert envelopes.encode(("q", "b", "0" * 16, "1", "x", data, traceparent)) == envelopes.encode(request)


def test_endless_data_raises() -> None:
    data: list[Any] = []
    data.append(data)
    with pytest.raises(InvalidPayload):
        envelopes.pack(data)


def test_a_beat_of_a_node_that_knows_nothing_of_owners_may_own_every_room() -> None:
    fields = ["b", "a", "0" * 16, 1.0, 1, 0, True, False, [], False, "native"]
    beat = envelopes.decode(msgspec.msgpack.encode(fields))
    assert isinstance(beat, envelopes.Beat)
    assert (beat.name, beat.dialect, beat.owns) == ("a", "native", None)
    newer = envelopes.decode(msgspec.msgpack.encode([*fields, ["game"], [["chat", 1, 1]], True, 2.0, True, "of later"]))
    assert isinstance(newer, envelopes.Beat)
    assert newer.owns == ("game",)


_client_messages = st.builds(ClientMessage, st.binary(max_size=300), st.tuples(st.text(max_size=3)), st.none())
_event_messages = st.one_of(
    st.builds(Event, st.text(), st.text(), st.just(_PAYLOAD)),
    st.builds(Answer, st.text(), st.text(), st.just(_PAYLOAD)),
)


@given(st.lists(_client_messages, min_size=1, max_size=MAX_MESSAGES))
def test_joined_messages_for_clients_are_a_batch_of_them(messages: list[ClientMessage]) -> None:
    joined = envelopes.join(ClientBatch, [envelopes.encode(each) for each in messages])
    assert joined == envelopes.encode(ClientBatch(messages))
    assert envelopes.decode(joined) == ClientBatch(messages)
    assert envelopes.count_messages(joined) == len(messages)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=MAX_MESSAGES))
def test_joined_texts_are_a_batch_of_them(texts: list[bytes]) -> None:
    joined = envelopes.join(TextBatch, texts)
    assert envelopes.decode(joined) == TextBatch(texts)
    assert envelopes.count_messages(joined) == len(texts)


@given(st.lists(_event_messages, min_size=1, max_size=MAX_MESSAGES))
def test_joined_events_are_a_batch_of_them(messages: list[Event | Answer]) -> None:
    joined = envelopes.join(Batch, [envelopes.encode(each) for each in messages])
    assert envelopes.decode(joined) == Batch(list(messages))
    assert envelopes.count_messages(joined) == len(messages)


def test_a_batch_with_too_many_messages_is_refused() -> None:
    with pytest.raises(InvalidMessage):
        envelopes.decode(envelopes.encode(ClientBatch([ClientMessage(b"{}")] * (MAX_MESSAGES + 1))))
    with pytest.raises(InvalidMessage):
        envelopes.decode(envelopes.encode(TextBatch([b"{}"] * (MAX_MESSAGES + 1))))


def test_a_batch_without_texts_is_refused() -> None:
    with pytest.raises(InvalidMessage):
        envelopes.decode(envelopes.encode(TextBatch([])))


def test_events_are_no_part_of_a_batch_for_clients() -> None:
    with pytest.raises(InvalidMessage):
        envelopes.decode(envelopes.join(ClientBatch, [envelopes.encode(Event("a", "x", _PAYLOAD))]))


@pytest.mark.parametrize("body", [b"", b"x", b"\x92\xa1s", b"\x92\xa1m\x91\xff"])
def test_what_is_no_batch_counts_as_one_message(body: bytes) -> None:
    assert envelopes.count_messages(body) == 1
