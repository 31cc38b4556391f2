"""Estimates of the memory that data takes once it is decoded: a byte on the wire can become a hundred.

A weight is never much less than the memory; it may be more. Numbers that take long to decode weigh as much as other
data that takes as long.
"""

from __future__ import annotations

import re
import sys

LIST = 96
"""Bytes of a list with few items, and its slot in another list."""
DICT = 240
"""Bytes of a dict with few keys, and its slot in a list."""
EMPTY = 80
"""Bytes of an empty list or dict, and its slot in a list."""
ITEM = 44
"""Bytes of a number, and its slot in a list."""
SLOT = 9
"""Bytes of a slot in a list, for what takes no memory itself: null, true and the smallest numbers."""
KEY = 56
"""Bytes of a key in a dict: JSON's short keys are shared, so this is its slot, or most of its characters."""
TEXT = 72
"""Bytes of a short string, and its slot in a list, without its characters."""
SLOW_NUMBER = 3072
"""Weight of a floating-point number with many digits or a large exponent: decoding it takes ten microseconds."""

_FEW_NODES = 256
"""Number of values up to which slow numbers among them do not matter."""
_MANY_STRINGS = 30_000
_MANY_ESCAPES = 150_000
"""Numbers of strings, and of escapes in them, beyond which looking at each of them would take too long."""
_STRUCTURE = b",:[{"
_UNIFORM = bytes.maketrans(b"123456789.E+", b"0000000000e-")
"""Makes all numbers of a JSON text alike, so that the slow ones can be counted without parsing."""
_LONG_NUMBER = b"0" * 21
"""Digits and a point, more than the integers of 64 bits have."""
_LONG_NUMBERS = re.compile(_LONG_NUMBER + b"+")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_HIGH_SURROGATE = re.compile(rb"\\u[dD][89abAB]")


def message_weight(data: str | bytes, limit: int, *, msgpack: bool) -> int:
    """Estimate the memory of a message, decoded into builtin types; exactly only near ``limit``."""
    if not msgpack:
        return json_weight(data, limit)
    return msgpack_weight(data.encode() if isinstance(data, str) else data, limit)


def json_weight(data: str | bytes, limit: int) -> int:
    """Estimate the memory of a JSON text, decoded into builtin types; more exactly if it would be over ``limit``.

    Args:
        data: the text, valid or not.
        limit: bytes that the caller compares the weight with.
    """
    text = data.encode() if isinstance(data, str) else data
    nodes = len(text) - len(text.translate(None, _STRUCTURE))
    weight = TEXT + _characters(text)
    if nodes <= _FEW_NODES:
        return weight + _structure(text)
    uniform = text.translate(_UNIFORM)
    weight += _structure(text) + SLOW_NUMBER * (_large_exponents(uniform) + uniform.count(_LONG_NUMBER))
    if weight <= limit or _quotes(text) > 2 * _MANY_STRINGS or text.count(b"\\") > _MANY_ESCAPES:
        return weight
    return min(weight, _precise_json_weight(text))


def _precise_json_weight(text: bytes) -> int:
    """Estimate the same weight without what only looks like data, in the strings."""
    bare = _STRING.sub(b'""', text)
    uniform = bare.translate(_UNIFORM)
    slow = _large_exponents(uniform) + len(_LONG_NUMBERS.findall(uniform))
    return TEXT + sum(map(_characters, _STRING.findall(text))) + _structure(bare) + SLOW_NUMBER * slow


def _structure(text: bytes) -> int:
    """Estimate the memory of the values of a JSON text, without the characters of strings."""
    lists, dicts, keys = text.count(b"["), text.count(b"{"), text.count(b":")
    empty_lists, empty_dicts = text.count(b"[]"), text.count(b"{}")
    strings = max(_quotes(text) // 2 - keys, 0)
    others = max(text.count(b",") + 1 - strings - empty_lists - empty_dicts, 0)  # each value but the first has a comma
    return (
        LIST * (lists - empty_lists)
        + DICT * (dicts - empty_dicts)
        + EMPTY * (empty_lists + empty_dicts)
        + KEY * keys
        + TEXT * strings
        + ITEM * others
    )


def _quotes(text: bytes) -> int:
    return text.count(b'"') - text.count(b'\\"')


def _large_exponents(uniform: bytes) -> int:
    return uniform.count(b"e000") + uniform.count(b"e-000")


def _characters(text: bytes) -> int:
    """Return the bytes that characters take in a str: one, two or four each, as the largest of them needs it."""
    if b"\\u" in text:
        return len(text) * (4 if not text.isascii() or _HIGH_SURROGATE.search(text) else 2)
    return len(text) if text.isascii() else sys.getsizeof(text.decode("utf-8", "replace"))


_RUN = re.compile(rb"[\x00-\x7f\xc0\xc2\xc3]+|[\x80\x90]+")
"""Values of one byte: those that take a slot alone, or empty dicts and lists."""
_FIXED = {
    **{kind: (size, ITEM) for kind, size in zip(range(0xCA, 0xD4), (5, 9, 2, 3, 5, 9, 2, 3, 5, 9), strict=True)},
    **{kind: (2 + (1 << kind - 0xD4), 2 * TEXT) for kind in range(0xD4, 0xD9)},
    **dict.fromkeys(range(0xE0, 0x100), (1, ITEM)),
    0xC1: (1, SLOT),
    0xDC: (3, LIST),
    0xDD: (5, LIST),
    **{0x90 + items: (1, LIST) for items in range(16)},
    **{0x80 + keys: (1, DICT + KEY * max(keys - 5, 0)) for keys in range(16)},
}
"""By the first byte of a value: its bytes on the wire, without the values inside it, and its weight."""
_SIZED = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
"""By the first byte of a string, bytes or an extension: the bytes of its length."""
_EXTENSIONS = (0xC7, 0xC8, 0xC9)
_MAPS = {0xDE: 2, 0xDF: 4}
"""By the first byte of a large map: the bytes of the number of its keys."""


def msgpack_weight(data: bytes, limit: int) -> int:
    """Estimate the memory of MessagePack, decoded into builtin types; no further once it is over ``limit``.

    Args:
        data: valid or not.
        limit: bytes that the caller compares the weight with.
    """
    weight, at, end = 0, 0, len(data)
    while at < end and weight <= limit:
        if (run := _RUN.match(data, at)) is not None:
            weight += (run.end() - at) * (SLOT if data[at] not in (0x80, 0x90) else EMPTY)
            at = run.end()
            continue
        kind = data[at]
        if (fixed := _FIXED.get(kind)) is not None:
            at += fixed[0]
            weight += fixed[1]
            continue
        if (digits := _MAPS.get(kind)) is not None:
            weight += DICT + KEY * int.from_bytes(data[at + 1 : at + 1 + digits], "big")
            at += 1 + digits
            continue
        if 0xA0 <= kind < 0xC0:
            begin, size = at + 1, kind - 0xA0
        else:
            begin = at + 1 + _SIZED[kind]
            size = int.from_bytes(data[at + 1 : begin], "big") + (kind in _EXTENSIONS)
        at = begin + size
        weight += TEXT + _characters_of(data, begin, at)
    return weight


def _characters_of(data: bytes, begin: int, end: int) -> int:
    part = data[begin:end]
    return len(part) if part.isascii() else sys.getsizeof(part.decode("utf-8", "replace"))
