from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import msgspec
import pytest

from crosswire.core.payload_types import ANY, PayloadType, payload_type
from crosswire.errors import ConfigError, InvalidPayload


class JoinRoom(msgspec.Struct):
    room_id: str


@dataclass
class Point:
    x: int
    y: int = 0


class Named(TypedDict):
    name: str


class Positive(msgspec.Struct):
    number: Annotated[int, msgspec.Meta(gt=0)]


class Tree(msgspec.Struct):
    children: list[Tree] = []


class Custom:
    pass


class HoldsObjects(msgspec.Struct):
    extra: dict[str, object]


class HoldsCustom(msgspec.Struct):
    items: dict[str, list[Custom | None]]


if TYPE_CHECKING:
    Imported = int


class Unresolved(msgspec.Struct):
    field: Imported


@pytest.mark.parametrize(
    ("annotation", "wire", "value"),
    [
        (JoinRoom, b'{"room_id":"7","more":1}', JoinRoom("7")),
        (Point, b'{"x":1}', Point(1, 0)),
        (Named, b'{"name":"a"}', {"name": "a"}),
        (list[int], b"[1,2]", [1, 2]),
        (int | None, b"null", None),
        (Tree, b'{"children":[{}]}', Tree([Tree()])),
        (Any, b'{"a":[1.5,null,"x"]}', {"a": [1.5, None, "x"]}),
        (object, b'{"a":[1.5,null,"x"]}', {"a": [1.5, None, "x"]}),
        (dict[str, object], b'{"a":[1.5,null,"x"]}', {"a": [1.5, None, "x"]}),
        (Sequence[object] | None, b'[{"a":1}]', [{"a": 1}]),
        (HoldsObjects, b'{"extra":{"a":[1]}}', HoldsObjects({"a": [1]})),
    ],
)
def test_a_payload_becomes_the_type_from_either_form(annotation: Any, wire: bytes, value: Any) -> None:
    kind = PayloadType(annotation)
    assert kind.from_json(wire) == value
    assert kind.from_msgpack(msgspec.msgpack.encode(msgspec.json.decode(wire))) == value


@pytest.mark.parametrize(
    ("annotation", "wire"),
    [
        (JoinRoom, b'{"room_id":7}'),
        (JoinRoom, b"{}"),
        (Point, b"[1,2]"),
        (Named, b"{}"),
        (Positive, b'{"number":0}'),
        (int, b'"5"'),
        (str, b"5"),
        (bool, b"1"),
        (dict[str, object], b"[]"),
    ],
)
def test_a_payload_that_does_not_fit_is_refused(annotation: Any, wire: bytes) -> None:
    kind = PayloadType(annotation)
    with pytest.raises(InvalidPayload, match=r"Expected|missing"):
        kind.from_json(wire)
    with pytest.raises(InvalidPayload, match=r"Expected|missing"):
        kind.from_msgpack(msgspec.msgpack.encode(msgspec.json.decode(wire)))


@pytest.mark.parametrize("depth", [100_000])
def test_a_payload_that_is_too_deep_is_refused(depth: int) -> None:
    with pytest.raises(InvalidPayload):
        ANY.from_json(b"[" * depth + b"]" * depth)
    with pytest.raises(InvalidPayload):
        ANY.from_msgpack(b"\x91" * depth + b"\xc0")


@pytest.mark.parametrize("wire", [b"", b"NaN", b"[1", b'"\\ud800"', b'"\xff"', b"1e999", b"{1:2}"])
def test_invalid_json_is_refused(wire: bytes) -> None:
    with pytest.raises(InvalidPayload):
        PayloadType(float | str).from_json(wire)


@pytest.mark.parametrize("wire", [b"", b"\xc1", b"\xa1\xff", b"\x92\xc0", b"\xc7\x01"])
def test_invalid_messagepack_is_refused(wire: bytes) -> None:
    with pytest.raises(InvalidPayload):
        ANY.from_msgpack(wire)


@pytest.mark.parametrize("annotation", [Custom, list[Custom], HoldsCustom, complex, 5, Unresolved])
def test_a_type_that_cannot_be_decoded_is_refused_when_it_is_named(annotation: Any) -> None:
    with pytest.raises(ConfigError, match="can't be a payload's type"):
        PayloadType(annotation)


@pytest.mark.parametrize("annotation", [object, dict[str, object], HoldsObjects])
def test_bytes_of_a_client_stay_bytes_where_an_object_is_wanted(annotation: Any) -> None:
    value = PayloadType(annotation).from_client(msgspec.msgpack.encode({"extra": {"picture": b"1"}}))
    assert value in ({"extra": {"picture": b"1"}}, HoldsObjects({"picture": b"1"}))


def test_equal_annotations_share_one_decoder() -> None:
    assert payload_type(list[int]) is payload_type(list[int])
    assert payload_type(Any) is ANY


def test_an_annotation_that_cannot_be_hashed_is_decoded_too() -> None:
    assert payload_type(Annotated[int, []]).from_json(b"5") == 5
