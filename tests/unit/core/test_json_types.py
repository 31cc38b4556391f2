from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.codecs import CLIENT_MSGPACK, JSON, MSGPACK
from crosswire.core.formats import EncodedMessage, encode, frame_format
from crosswire.core.json_types import holds_bytes, to_msgpack
from crosswire.core.messages import event
from crosswire.core.payload_types import PayloadType
from crosswire.errors import InvalidPayload

OFFSETS = st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(
    lambda delta: timezone(timedelta(minutes=delta // timedelta(minutes=1)))
)


class Colour(Enum):
    RED = "red"


class Shape(msgspec.Struct, tag="shape", omit_defaults=True):
    size: float = 0.0
    blob: bytes = b""


leaves: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats()
    | st.text()
    | st.binary()
    | st.binary().map(bytearray)
    | st.binary().map(lambda data: memoryview(data))
    | st.datetimes(timezones=st.none() | OFFSETS)
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.decimals()
    | st.just(Colour.RED)
    | st.builds(Shape, st.floats(), st.binary())
    | st.sets(st.integers(), max_size=1)
)
keys = st.text() | st.integers() | st.floats() | st.binary() | st.dates()
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=10,
)


def as_javascript_reads(value: Any) -> Any:
    """The value of a JSON text, with integers that are beyond 64 bits as its numbers."""
    if isinstance(value, dict):
        return {key: as_javascript_reads(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_javascript_reads(each) for each in value]
    return float(value) if isinstance(value, int) and not -(2**63) <= value < 2**64 else value


def exactly(value: Any) -> str:
    """Return a text that differs for 1, 1.0 and True, and for 0.0 and -0.0."""
    return repr(value)


@given(anything)
def test_messagepack_says_what_json_says(data: Any) -> None:
    message = event("x", data)
    expected = exactly(as_javascript_reads(msgspec.json.decode(JSON.encode(message))))
    binary = frame_format(msgpack=True, window_bits=0)
    known, unknown = encode(message, msgpack=True), encode(message, msgpack=False)
    assert unknown.msgpack is None
    assert binary.wrap(known) == binary.wrap(unknown) == binary.encode(message)
    assert known.msgpack is not None
    assert exactly(msgspec.msgpack.decode(known.msgpack)) == expected


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\xff", "/w=="),
        ({1: 2, 1.5: 3, b"a": 4}, {"1": 2, "1.5": 3, "YQ==": 4}),
        (datetime(2024, 1, 2, tzinfo=timezone(timedelta(hours=2))), "2024-01-02T00:00:00+02:00"),
        ([math.nan, math.inf, -math.inf], [None, None, None]),
        (Decimal("1.10"), "1.10"),
        ([date(2024, 1, 2), time(3, 4), timedelta(seconds=90)], ["2024-01-02", "03:04:00", "PT90S"]),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (Shape(), {"type": "shape"}),
        (Colour.RED, "red"),
        ([2**64 - 1, -(2**63), 1.0, -0.0], [2**64 - 1, -(2**63), 1.0, -0.0]),
        ([2**64, -(2**63) - 1], [2.0**64, -(2.0**63)]),
    ],
)
def test_the_json_form_of_some_values(data: Any, value: Any) -> None:
    assert exactly(msgspec.msgpack.decode(MSGPACK.encode(data))) == exactly(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"1e400", math.inf),
        (b"-1e400", -math.inf),
        (b"9" * 5000, math.inf),
        (b'{"a":18446744073709551616}', {"a": 2.0**64}),
        (b'["\\ud83d","\\ud83d\\ude00","\\ude00x"]', ["\ufffd", "\U0001f600", "\ufffdx"]),
        (b'{"\\ud800":["\\udfff"]}', {"\ufffd": ["\ufffd"]}),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b" [ 1 , 2.0 ] ", [1, 2.0]),
    ],
)
def test_json_extensions_of_others_have_a_messagepack_form(text: bytes, value: Any) -> None:
    assert exactly(msgspec.msgpack.decode(to_msgpack(text))) == exactly(value)


@pytest.mark.parametrize("text", [b"", b"{", b"NaN", b"[1,]", b"\xff", b'"\x01"', b"1 2", b"-", b"[Infinity]"])
def test_invalid_json_has_no_messagepack_form(text: bytes) -> None:
    with pytest.raises(InvalidPayload):
        frame_format(msgpack=True, window_bits=0).wrap(EncodedMessage(text))


# The other way: from clients.


class Upload(msgspec.Struct):
    blob: bytes
    at: datetime | None = None
    counts: dict[int, int] = {}
    more: Any = None


TYPED = [
    (Upload, {"blob": b"\xff", "at": datetime(2024, 1, 2, tzinfo=UTC), "counts": {1: 2}, "more": [1.5, "x"]}),
    (bytes, b"\xff\x00"),
    (dict[int, float], {1: 2.5}),
    (set[int], {3}),
    (Decimal, Decimal("1.10")),
    (datetime, datetime(2024, 1, 2, tzinfo=timezone(timedelta(hours=2)))),
    (float, 1),
    (timedelta, timedelta(seconds=90)),
]


@pytest.mark.parametrize(("annotation", "data"), TYPED)
def test_a_handler_cannot_tell_in_which_format_a_client_spoke(annotation: Any, data: Any) -> None:
    kind = PayloadType(annotation)
    expected = exactly(kind.from_json(JSON.encode(data)))
    for codec in (MSGPACK, CLIENT_MSGPACK):
        assert exactly(kind.from_client(codec.encode(data))) == expected
    assert kind.from_client(msgspec.msgpack.encode(data)) == kind.from_json(JSON.encode(data))  # others' clients


@given(anything)
def test_an_untyped_handler_can_only_tell_the_format_by_bytes(data: Any) -> None:
    kind = PayloadType(dict[str, Any])
    read = kind.from_client(CLIENT_MSGPACK.encode({"data": data}))
    said = as_javascript_reads(kind.from_json(JSON.encode({"data": data})))
    assert exactly(msgspec.json.decode(JSON.encode(read))) == exactly(said)
    assert holds_bytes(read) == holds_bytes(msgspec.msgpack.decode(CLIENT_MSGPACK.encode(data)))


@pytest.mark.parametrize("annotation", [Any, dict, dict[str, Any]])
def test_bytes_stay_bytes_where_nothing_else_is_said(annotation: Any) -> None:
    wire = msgspec.msgpack.encode({"a": b"\xff", 1: math.nan, "t": datetime(2024, 1, 2, tzinfo=UTC)})
    assert PayloadType(annotation).from_client(wire) == {"a": b"\xff", "1": None, "t": "2024-01-02T00:00:00Z"}


def test_bytes_stay_bytes_in_a_typed_message_too() -> None:
    wire = msgspec.msgpack.encode({"blob": b"a", "counts": {1: 2}, "more": {"b": [b"c"], "n": math.inf}})
    assert PayloadType(Upload).from_client(wire) == Upload(b"a", None, {1: 2}, {"b": [b"c"], "n": None})


def test_a_raw_payload_is_json_in_either_format() -> None:
    raw = PayloadType(msgspec.Raw).from_client(msgspec.msgpack.encode({"a": b"\xff"}))
    assert bytes(raw) == b'{"a":"/w=="}'
    assert JSON.encode(event("x", raw)) == b'{"event":"x","payload":{"a":"/w=="}}'


@pytest.mark.parametrize(
    ("annotation", "data"),
    [
        (float, math.nan),
        (float, math.inf),
        (dict, {True: 1}),
        (Any, msgspec.msgpack.Ext(5, b"x")),
        (Any, [b"x", msgspec.msgpack.Ext(5, b"x")]),
        (Any, {None: b"x"}),
    ],
)
def test_values_without_a_json_form_are_refused(annotation: Any, data: Any) -> None:
    with pytest.raises(InvalidPayload):
        PayloadType(annotation).from_client(msgspec.msgpack.encode(data))


@pytest.mark.parametrize("wire", [b"", b"\xc1", b"\xa1\xff", b"\x92\xc0", b"\x91" * 100_000 + b"\xc0"])
def test_invalid_messagepack_is_refused(wire: bytes) -> None:
    with pytest.raises(InvalidPayload):
        PayloadType(Any).from_client(wire)
