from __future__ import annotations

from dataclasses import dataclass
from functools import partial, wraps
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import msgspec
import pytest

from crosswire.core.listeners import EventListeners
from crosswire.core.payloads import ANY, PayloadType, handler_signature, payload_type
from crosswire.errors import ConfigError, InvalidPayload

if TYPE_CHECKING:
    from crosswire import Socket


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
def test_what_is_no_json_is_refused(wire: bytes) -> None:
    with pytest.raises(InvalidPayload):
        PayloadType(float | str).from_json(wire)


@pytest.mark.parametrize("wire", [b"", b"\xc1", b"\xa1\xff", b"\x92\xc0", b"\xc7\x01"])
def test_what_is_no_messagepack_is_refused(wire: bytes) -> None:
    with pytest.raises(InvalidPayload):
        ANY.from_msgpack(wire)


@pytest.mark.parametrize("annotation", [Custom, list[Custom], HoldsCustom, object, complex, 5, Unresolved])
def test_a_type_that_cannot_be_decoded_is_refused_when_it_is_named(annotation: Any) -> None:
    with pytest.raises(ConfigError, match="can't be a payload's type"):
        PayloadType(annotation)


def test_equal_annotations_share_one_decoder() -> None:
    assert payload_type(list[int]) is payload_type(list[int])
    assert payload_type(Any) is ANY


def test_an_annotation_that_cannot_be_hashed_is_decoded_too() -> None:
    assert payload_type(Annotated[int, []]).from_json(b"5") == 5


def two(socket: Any, data: JoinRoom) -> None: ...
def untyped(socket, data): ...  # type: ignore[no-untyped-def]
def one(socket: Any) -> None: ...
def none() -> None: ...
def optional(socket: Any, data: int = 5, more: str = "", *, option: bool = True) -> None: ...
def anything(*args: Any, **kwargs: Any) -> None: ...
def typed_and_more(socket: Any, data: JoinRoom, *more: Any) -> None: ...
def for_checkers(socket: Socket, data: JoinRoom) -> Socket: ...  # type: ignore[empty-body]
def bound(database: Any, socket: Any, data: JoinRoom) -> None: ...


@wraps(two)
def decorated(*args: Any) -> None: ...


class Handlers:
    def method(self, socket: Any, data: JoinRoom) -> None: ...

    @classmethod
    def for_class(cls, socket: Any, data: JoinRoom) -> None: ...

    @staticmethod
    def static(socket: Any, data: JoinRoom) -> None: ...

    def __call__(self, socket: Any, data: JoinRoom) -> None: ...


@pytest.mark.parametrize(
    ("handler", "arity", "annotation"),
    [
        (two, 2, JoinRoom),
        (untyped, 2, Any),
        (one, 1, Any),
        (none, 0, Any),
        (optional, 2, int),
        (anything, 2, Any),
        (typed_and_more, 2, JoinRoom),
        (for_checkers, 2, JoinRoom),
        (decorated, 2, JoinRoom),
        (partial(bound, "database"), 2, JoinRoom),
        (partial(partial(bound, "database")), 2, JoinRoom),
        (Handlers().method, 2, JoinRoom),
        (Handlers.for_class, 2, JoinRoom),
        (Handlers.static, 2, JoinRoom),
        (Handlers(), 2, JoinRoom),
        (lambda socket, data: None, 2, Any),
        (print, 2, Any),
    ],
)
def test_a_handlers_signature_says_what_it_takes(handler: Any, arity: int, annotation: Any) -> None:
    assert handler_signature(handler, 2, typed=True) == (arity, annotation)
    assert handler_signature(handler, 2, typed=False) == (arity, Any)


def needs_three(socket: Any, data: Any, more: Any) -> None: ...
def needs_three_and_more(socket: Any, data: Any, more: Any, *rest: Any) -> None: ...
def needs_a_keyword(socket: Any, *, key: str) -> None: ...
def takes_all_but_needs_a_keyword(*args: Any, key: str) -> None: ...


@pytest.mark.parametrize("handler", [needs_three, needs_three_and_more, needs_a_keyword, takes_all_but_needs_a_keyword])
def test_a_handler_that_could_never_be_called_is_refused(handler: Any) -> None:
    with pytest.raises(ConfigError, match=f"{handler.__name__} needs"):
        handler_signature(handler, 2, typed=True)


def test_a_handler_without_a_signature_is_refused() -> None:
    with pytest.raises(ConfigError, match="can't be a handler"):
        handler_signature(dict.fromkeys(["a"]).update, 2, typed=True)


def test_an_annotation_that_cannot_be_resolved_is_refused() -> None:
    def handler(socket: Any, data: Imported) -> None: ...

    with pytest.raises(ConfigError, match=r"'Imported' of .*handler can't be resolved"):
        handler_signature(handler, 2, typed=True)


def test_a_type_may_be_defined_where_the_handler_is_registered() -> None:
    class Local(msgspec.Struct):
        room_id: str

    listeners = EventListeners(2)

    @listeners.on("join")
    def join(socket: object, data: Local) -> None: ...

    assert listeners.of("join")[0].payload.annotation is Local
