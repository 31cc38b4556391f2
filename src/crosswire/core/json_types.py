"""Conversion of data to the types that JSON has, and of JSON to MessagePack: a message means the same in both."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any, NoReturn

import msgspec

_BYTES = (bytes, bytearray, memoryview)
_MIN_INT, _MAX_INT = -(2**63), 2**64 - 1
"""The range of MessagePack's integers."""

_encode_json = msgspec.json.Encoder().encode
_decode_json = msgspec.json.Decoder().decode
_encode_msgpack = msgspec.msgpack.Encoder().encode


def to_msgpack(text: bytes) -> bytes:
    """Convert a JSON text to MessagePack.

    Integers that MessagePack can't hold become floating-point numbers, as they do in JavaScript; half a character (a
    lone surrogate, which JavaScript can write) becomes U+FFFD.

    Raises:
        ValueError, RecursionError: it is no JSON, or too deep.
    """
    try:
        return _encode_msgpack(_decode_json(text))
    except (msgspec.DecodeError, OverflowError):  # perhaps for a number or half a character that others accept
        return _encode_msgpack(_replace_surrogates(json.loads(text, parse_int=_number, parse_constant=_refuse)))


def to_json_types(data: Any) -> Any:
    """Convert data to JSON's types, except for bytes, which stay as they are.

    Raises:
        TypeError, ValueError, RecursionError, AttributeError: it has no JSON form.
    """
    return _finite(msgspec.to_builtins(data, builtin_types=_BYTES))


def holds_bytes(value: Any) -> bool:
    """Return whether a decoded value contains bytes, at any depth."""
    pending = [value]
    while pending:
        item = pending.pop()
        if type(item) is bytes:
            return True
        if type(item) is dict:
            pending.extend(item.values())
        elif type(item) is list:
            pending.extend(item)
    return False


def _finite(value: Any) -> Any:
    """Convert builtin types: keep only numbers that both JSON and MessagePack can hold."""
    kind = type(value)
    if kind is dict:
        return {key if type(key) is str else _key(key): _finite(each) for key, each in value.items()}
    if kind in (list, tuple):
        return [_finite(each) for each in value]
    if kind is float:
        return value if isfinite(value) else None
    if kind is int and not _MIN_INT <= value <= _MAX_INT:
        return float(value)
    return value


def _key(key: Any) -> str:
    """Return a key of a dict as JSON writes it."""
    (text,) = _decode_json(_encode_json({key: None}))
    return str(text)


def _replace_surrogates(value: Any) -> Any:
    """Replace lone surrogates in decoded JSON, so that each text has a UTF-8 form."""
    kind = type(value)
    if kind is dict:
        return {_replace_surrogates(key): _replace_surrogates(each) for key, each in value.items()}
    if kind is list:
        return [_replace_surrogates(each) for each in value]
    if kind is str:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def _number(digits: str) -> int | float:
    number = float(digits)  # without a limit on digits, and infinite where JavaScript's is
    return int(digits) if abs(number) < 1e20 and _MIN_INT <= int(digits) <= _MAX_INT else number


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"JSON has no {constant}")
