"""The estimates of what data takes in memory are compared with what it takes."""

from __future__ import annotations

import gc
import time
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosswire.core.payload_types import ANY
from crosswire.core.payload_weights import json_weight, message_weight, msgpack_weight

MIB = 1 << 20
NO_LIMIT = 1 << 60


def array_of(item: str, size: int = 100_000) -> str:
    return f"[{','.join([item] * (size // (len(item) + 1)))}]"


def object_of(value: str) -> str:
    pairs = (f'"k{number:x}":{value}' for number in range(10_000))
    return f"{{{','.join(pairs)}}}"


HOSTILE = {
    "lists": array_of("[]"),
    "dicts": array_of("{}"),
    "nested lists": array_of("[[]]"),
    "lists of one": array_of("[1]"),
    "dicts of one": array_of('{"a":1}'),
    "dicts of dicts": array_of('{"a":{}}'),
    "records": array_of('{"id":12345,"name":"Alice","x":1.5,"tags":["a","b"]}'),
    "numbers": array_of("999"),
    "floats": array_of("1.5"),
    "short strings": array_of('"ab"'),
    "short strings of another script": array_of('"世"'),
    "emoji": array_of('"\U0001f600"'),
    "keys": object_of("1"),
    "keys with lists": object_of("[]"),
    "text": f'"{"x" * 100_000}"',
    "text with an emoji": f'"{"x" * 100_000}\U0001f600"',
    "text with an escaped emoji": f'"{"x" * 100_000}\\ud83d\\ude00"',
    "depth": "[" * 900 + "]" * 900,
}


def memory_of(decode: Any, data: Any) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        value = decode(data)
        size = tracemalloc.get_traced_memory()[0]
        del value
    finally:
        tracemalloc.stop()
    return size


@pytest.mark.parametrize("name", HOSTILE)
def test_no_weight_is_much_less_than_the_memory(name: str) -> None:
    text = HOSTILE[name].encode()  # of a str the decoder would keep the UTF-8, too
    packed = msgspec.msgpack.encode(msgspec.json.decode(text))
    for weight, decode, data in (
        (json_weight(text, NO_LIMIT), ANY.from_json, text),
        (json_weight(text, 1), ANY.from_json, text),
        (msgpack_weight(packed, NO_LIMIT), msgspec.msgpack.decode, packed),
    ):
        assert weight > 0.75 * memory_of(decode, data)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=20) | st.dictionaries(st.text(), children, max_size=20),
    max_leaves=50,
)


@settings(max_examples=100, deadline=None)
@given(json_values)
def test_the_weight_of_any_data_covers_most_of_its_memory(value: Any) -> None:
    text, packed = msgspec.json.encode(value), msgspec.msgpack.encode(value)
    taken = memory_of(ANY.from_json, text)
    assert json_weight(text, NO_LIMIT) >= 0.6 * taken - 200
    assert json_weight(text, 1) >= 0.6 * taken - 200
    assert msgpack_weight(packed, NO_LIMIT) >= 0.6 * taken - 200


@given(st.binary(max_size=300))
def test_anything_can_be_weighed(data: bytes) -> None:
    assert json_weight(data, 1) >= 0
    assert msgpack_weight(data, NO_LIMIT) >= 0
    assert message_weight(data.decode("latin-1"), 1, msgpack=True) >= 0


@pytest.mark.parametrize("number", ["1e-310", "5e-324", "1.7976931348623157e308", "0." + "0" * 19 + "1e-299"])
def test_numbers_that_take_long_weigh_as_much(number: str) -> None:
    assert json_weight(array_of(number, MIB), 12 * MIB) > 12 * MIB


@pytest.mark.parametrize("number", ["12345678901234567890", "0.30000000000000004", "-1.5e-07", "1700000000.123456"])
def test_everyday_numbers_weigh_what_they_take(number: str) -> None:
    assert json_weight(array_of(number, MIB), 12 * MIB) < 6 * MIB


@pytest.mark.parametrize(
    "text",
    [
        "x" * MIB,
        "lorem, ipsum: dolor [sit] {amet} " * (MIB // 33),
        '{\\"id\\": 1, \\"tags\\": [1, 2]}, ' * (MIB // 40),
        "data:image/png;base64," + "e000" * (MIB // 4),
        "0" * MIB,
    ],
    ids=["x", "prose", "JSON", "base64", "digits"],
)
def test_what_only_looks_like_data_weighs_no_more_than_text(text: str) -> None:
    data = f'{{"event":"say","payload":"{text}"}}'
    assert json_weight(data, int(2.125 * MIB)) <= 2.125 * MIB


@pytest.mark.parametrize("name", HOSTILE)
def test_weighing_takes_less_than_a_turn_of_the_loop(name: str) -> None:
    text = (HOSTILE[name] * (MIB // len(HOSTILE[name]) + 1))[:MIB]
    began = time.thread_time()
    json_weight(text, 2 * MIB)
    msgpack_weight(text.encode("latin-1", "replace"), 4 * MIB)
    assert time.thread_time() - began < 0.5  # a tenth of it on a quiet machine


def test_a_map_weighs_what_it_says_that_it_has() -> None:
    assert msgpack_weight(b"\xdf\xff\xff\xff\xff", NO_LIMIT) > 1 << 32
    assert msgpack_weight(b"\xde\x00\x02\xa1a\x01\xa1b\x02", NO_LIMIT) < 1000
