"""Return values of handlers are checked against their annotations."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NamedTuple, NewType, NoReturn, Protocol, TypedDict, TypeVar, cast
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.codecs import CLIENT_JSON, JSON, MSGPACK, NODE_MSGPACK, Codec
from crosswire.core.decoded_calls import decoded_call
from crosswire.core.listeners import EventListeners, Hook
from crosswire.core.messages import ABSENT
from crosswire.core.payload_types import ANY
from crosswire.core.return_types import ReturnType, return_type
from crosswire.errors import InvalidPayload
from tests.support.aio import run


class Answer(msgspec.Struct):
    count: int


class Renamed(msgspec.Struct, rename="camel"):
    room_id: str


class One(msgspec.Struct, tag="one"):
    x: int


class Two(msgspec.Struct, tag="two"):
    x: int


@dataclass
class Point:
    x: int


class Named(TypedDict):
    name: str


class Pair(NamedTuple):
    one: int
    two: int


class Color(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Odd:
    pass


class HasName(Protocol):
    name: str


Number = NewType("Number", int)
NOW = datetime.now(UTC)

FITS: list[tuple[Any, Any]] = [
    (Answer, Answer(1)),
    (Answer, {"count": 1}),
    (Answer | None, None),
    (Answer | None, Answer(1)),
    (Renamed, {"roomId": "a"}),
    (One | Two, Two(1)),
    (list[One | Two], [Two(1)]),
    (Point, Point(1)),
    (Point, {"x": 1}),
    (Named, {"name": "a"}),
    (Pair, Pair(1, 2)),
    (Pair, [1, 2]),
    (dict, {}),
    (dict, OrderedDict(a=1)),
    (dict[str, Any], {"a": object}),
    (dict[str, object], {"a": object}),
    (Sequence[object], (1, "a")),
    (dict[str, int], Counter("aab")),
    (dict[str, int], {}),
    (dict[str, str], {"a": "1", "b": "2", "c": "3", "d": "4"}),
    (dict[str, int | None], {"a": 2**80, "b": None}),
    (dict[str, float], {"a": 1}),
    (dict[str, str], {"a": NOW}),
    (dict[str, int], {1: 2}),
    (dict[int, str], {1: "a"}),
    (dict[int, str], {"1": "a"}),
    (Mapping[str, Any], {}),
    (Sequence[Any], (1, "a")),
    (list[Any], []),
    (list[int], (1, 2)),
    (list[int], {1}),
    (list[int], [Level.LOW]),
    (tuple[int, ...], [1, 2]),
    (set[str], frozenset("a")),
    (int, 5),
    (int, True),
    (int, Level.LOW),
    (Number, 5),
    (float, 5),
    (float, 1.5),
    (str | int, "a"),
    (str, Color.RED),
    (Color, Color.RED),
    (Literal["a"], "a"),
    (Annotated[int, msgspec.Meta(gt=0)], 1),
    (datetime, NOW),
    (str, NOW),
    (UUID, UUID(int=0)),
    (Decimal, Decimal(1)),
    (bytes, b"a"),
    (list[dict[str, Point]], [{"a": Point(1)}]),
    (None, None),
    (Awaitable[int], 5),
    (Coroutine[Any, Any, Answer], Answer(1)),
    (asyncio.Future[int] | None, None),
]

MISFITS: list[tuple[Any, Any]] = [
    (Answer, {"counts": 1}),
    (Answer, {"count": "1"}),
    (Answer, None),
    (Answer, Point(1)),
    (Answer | None, {}),
    (Renamed, {"room_id": "a"}),
    (One, Two(1)),
    (Named, {}),
    (Named, Answer(1)),
    (Pair, [1]),
    (dict, [1]),
    (dict[str, Any], None),
    (dict[str, object], None),
    (list[object], {"a": 1}),
    (dict[str, int], {"a": "b"}),
    (dict[str, int], {"a": 1, "b": 2, "c": "3"}),
    (dict[str, int], {"a": True}),
    (dict[str, str], {"a": "b", "c": None}),
    (list[Any], {"a": 1}),
    (list[int], ["a"]),
    (list[Point], [Answer(1)]),
    (tuple[int, str], (1, 2)),
    (int, "3"),
    (int, 1.5),
    (bool, 1),
    (str, 5),
    (str, None),
    (bytes, object()),
    (float, "nan"),
    (Literal["a"], "b"),
    (Color, "blue"),
    (Annotated[int, msgspec.Meta(gt=0)], 0),
    (datetime, "now"),
    (None, 5),
    (None, {}),
    (Number, "5"),
    (Awaitable[int], "5"),
    (Coroutine[Any, Any, Answer | None], 5),
]


def require(kind: ReturnType, value: Any) -> None:
    """Check a value as it is where handlers are called; for the result of an awaitable it is the same."""
    call = decoded_call(lambda _subject, _data: value, JSON, ANY, kind, arity=2, takes_data=True)
    try:
        if not isinstance(value, kind.sure):
            kind.require(value)
    except TypeError as error:
        with pytest.raises(TypeError, match=re.escape(str(error))):
            call(None, ABSENT)
        raise
    assert call(None, ABSENT) is value


@pytest.mark.parametrize(("annotation", "value"), FITS)
def test_a_value_that_fits_is_accepted(annotation: Any, value: Any) -> None:
    kind = return_type(annotation)
    assert kind is not None
    require(kind, value)


@pytest.mark.parametrize(("annotation", "value"), MISFITS)
def test_a_value_that_does_not_fit_is_described(annotation: Any, value: Any) -> None:
    kind = return_type(annotation)
    assert kind is not None
    with pytest.raises(TypeError, match=f"the handler returned {type(value).__name__}, which does not fit"):
        require(kind, value)


@pytest.mark.parametrize(
    "annotation",
    [
        Any,
        object,
        Odd,
        list[Odd],
        HasName,
        TypeVar("T"),
        NoReturn,
        Any | None,
        int | Any,
        Awaitable,
        Awaitable[Any],
        "int",
    ],
)
def test_annotations_that_cannot_be_checked_are_ignored(annotation: Any) -> None:
    assert return_type(annotation) is None


@pytest.mark.parametrize(
    ("annotation", "cls"), [(dict[str, object], dict), (list[object], list), (dict[str, Any], dict)]
)
def test_items_of_any_type_are_not_checked(annotation: Any, cls: type) -> None:
    returns = return_type(annotation)
    assert returns is not None
    assert returns.sure == (cls,)


def test_the_description_does_not_contain_the_value() -> None:
    kind = return_type(Color)
    assert kind is not None
    with pytest.raises(TypeError) as told:
        require(kind, "my secret")
    assert "secret" not in str(told.value)


def test_the_result_of_a_coroutine_is_checked() -> None:
    async def given(value: Any) -> Any:
        return value

    kind = return_type(int)
    assert kind is not None
    assert run(kind.awaited(given(5))) == 5
    with pytest.raises(TypeError, match="does not fit"):
        run(kind.awaited(given("5")))


def test_only_handlers_of_events_answer() -> None:
    async def handler() -> int:
        return 5

    events, hook = EventListeners(), Hook[[], []]("on_open")
    events.on("say", handler)
    hook(handler)
    assert events.of("say")[0].returns is not None
    assert hook.take()[0].returns is None


def no_arguments() -> int:
    return cast("int", "five")


def data_alone(data: object) -> int:
    return cast("int", "five")


def usual(subject: str, data: object) -> dict[str, int]:
    return cast("dict[str, int]", {"text": "five"})


@pytest.mark.parametrize("handler", [no_arguments, data_alone, usual])
@pytest.mark.parametrize("codec", [JSON, MSGPACK, NODE_MSGPACK, CLIENT_JSON])
def test_what_a_plain_function_returns_is_checked_by_its_call(handler: Callable[..., Any], codec: Codec) -> None:
    events = EventListeners(subject=str)
    events.on("say", handler)
    (listener,) = events.of("say")
    assert listener.returns is None  # so nobody checks it again
    with pytest.raises(TypeError, match="which does not fit its annotation"):
        listener.call_as(codec)("subject", ABSENT)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3)
)
flat_values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=3), scalars, max_size=3)
json_values = (
    flat_values | st.lists(flat_values, max_size=3) | st.dictionaries(st.text(max_size=3), flat_values, max_size=3)
)


@given(json_values, st.sampled_from([annotation for annotation, _ in (*FITS, *MISFITS) if annotation is not None]))
def test_an_accepted_answer_can_be_decoded_into_its_annotation(value: Any, annotation: Any) -> None:
    """An accepted value has the form of the annotation, a refused one has not; bool and int differ, as in Python."""
    kind = return_type(annotation)
    assert kind is not None
    try:
        require(kind, value)
    except TypeError:
        with pytest.raises(InvalidPayload):
            kind._kind.from_json(msgspec.json.encode(value))
    else:
        if not isinstance(value, bool):
            kind._kind.from_json(msgspec.json.encode(value))
