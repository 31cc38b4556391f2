from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.codecs import MSGPACK
from crosswire.core.event_policies import MessagePolicy
from crosswire.core.formats import EncodedMessage, encode
from crosswire.core.messages import event
from crosswire.core.positioned_messages import with_position
from crosswire.core.positions import LogPosition
from crosswire.errors import InvalidPayload

AT = LogPosition("k3xQ9a2f", 121)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_the_position_is_the_last_field() -> None:
    message = with_position(encode(event("said", {"text": "}"}), msgpack=True), *AT)
    assert message.json == b'{"event":"said","payload":{"text":"}"},"at":"k3xQ9a2f.121"}'
    assert message.msgpack is not None
    assert list(msgspec.msgpack.decode(message.msgpack).items())[-1] == ("at", "k3xQ9a2f.121")


@given(name=st.text(min_size=1), data=VALUES, offset=st.integers(0, 2**63), packed=st.booleans())
def test_a_message_decodes_as_before_and_has_its_position(name: str, data: object, offset: int, packed: bool) -> None:
    plain = encode(event(name, data), msgpack=packed)
    at = LogPosition("zzzzzzzz", offset)
    message = with_position(plain, *at)
    assert msgspec.json.decode(message.json) == {**msgspec.json.decode(plain.json), "at": str(at)}
    if plain.msgpack is None:
        assert message.msgpack is None
    else:
        assert message.msgpack is not None
        assert msgspec.msgpack.decode(message.msgpack) == {**msgspec.msgpack.decode(plain.msgpack), "at": str(at)}


@given(fields=st.dictionaries(st.text(max_size=3).filter(lambda key: key != "at"), st.integers(0, 9), max_size=40))
def test_an_object_of_any_number_of_fields_gets_one_more(fields: dict[str, int]) -> None:
    message = EncodedMessage(msgspec.json.encode(fields), msgspec.msgpack.encode(fields))
    positioned = with_position(message, *AT)
    assert positioned.msgpack is not None
    assert msgspec.json.decode(positioned.json) == {**fields, "at": str(AT)}
    assert msgspec.msgpack.decode(positioned.msgpack) == {**fields, "at": str(AT)}


@pytest.mark.parametrize("entries", [0, 1, 14, 15, 16, 255, 65_534, 65_535, 65_536])
def test_the_size_of_a_map_takes_the_bytes_it_needs(entries: int) -> None:
    fields = dict.fromkeys(map(str, range(entries)), 0)
    positioned = with_position(EncodedMessage(b"{}", msgspec.msgpack.encode(fields)), *AT)
    assert positioned.msgpack is not None
    assert msgspec.msgpack.decode(positioned.msgpack) == {**fields, "at": str(AT)}


def test_json_of_others_may_have_blanks() -> None:
    message = with_position(EncodedMessage(b' { "event": "said" } \n'), *AT)
    assert message.json == b' { "event": "said" ,"at":"k3xQ9a2f.121"} \n'
    assert with_position(EncodedMessage(b" { } "), *AT).json == b' { "at":"k3xQ9a2f.121"} '


def test_the_policy_stays() -> None:
    policy = MessagePolicy("latest", "key")
    assert with_position(EncodedMessage(b'{"event":"said"}', None, policy), *AT).policy is policy


@pytest.mark.parametrize(
    "message",
    [
        EncodedMessage(b""),
        EncodedMessage(b"}"),
        EncodedMessage(b"[1]"),
        EncodedMessage(b"{}", b""),
        EncodedMessage(b"{}", MSGPACK.from_json(b"[1]")),
        EncodedMessage(b"{}", b"\xdf\xff\xff\xff\xff"),
    ],
)
def test_what_is_no_object_gets_none(message: EncodedMessage) -> None:
    with pytest.raises(InvalidPayload):
        with_position(message, *AT)
