"""Data as the JSON form of a message has it, and that form as MessagePack: one meaning of a message in every format."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any, NoReturn

import msgspec

_BYTES = (bytes, bytearray, memoryview)
_LEAST, _MOST = -(2**63), 2**64 - 1
"""The integers that MessagePack has."""

_encode_json = msgspec.json.Encoder().encode
_decode_json = msgspec.json.Decoder().decode
_encode_msgpack = msgspec.msgpack.Encoder().encode


def to_msgpack(text: bytes) -> bytes:
    """Say in MessagePack what a JSON text says.

    Numbers that MessagePack has no integer for become floating-point ones, as they do in JavaScript; half a character
    (a lone surrogate, which JavaScript can write) becomes U+FFFD.

    Raises:
        ValueError, RecursionError: it is no JSON, or too deep.
    """
    try:
        return _encode_msgpack(_decode_json(text))
    except (msgspec.DecodeError, OverflowError):  # perhaps for a number or half a character that others let pass
        return _encode_msgpack(_whole(json.loads(text, parse_int=_number, parse_constant=_refuse)))


def plain(data: Any) -> Any:
    """Return data with JSON's types, but for bytes, which stay as they are.

    Raises:
        TypeError, ValueError, RecursionError, AttributeError: it has no JSON form.
    """
    return _finite(msgspec.to_builtins(data, builtin_types=_BYTES))


def holds_bytes(value: Any) -> bool:
    """Whether bytes are in a value that was decoded, however deep."""
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
    """Return builtins with numbers that JSON and MessagePack have."""
    kind = type(value)
    if kind is dict:
        return {key if type(key) is str else _key(key): _finite(each) for key, each in value.items()}
    if kind in (list, tuple):
        return [_finite(each) for each in value]
    if kind is float:
        return value if isfinite(value) else None
    if kind is int and not _LEAST <= value <= _MOST:
        return float(value)
    return value


def _key(key: Any) -> str:
    """Return a key as JSON writes it."""
    (text,) = _decode_json(_encode_json({key: None}))
    return str(text)


def _whole(value: Any) -> Any:
    """Return decoded JSON whose texts have a UTF-8 form."""
    kind = type(value)
    if kind is dict:
        return {_whole(key): _whole(each) for key, each in value.items()}
    if kind is list:
        return [_whole(each) for each in value]
    if kind is str:
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def _number(digits: str) -> int | float:
    number = float(digits)  # without a limit on digits, and infinite where JavaScript's is
    return int(digits) if abs(number) < 1e20 and _LEAST <= int(digits) <= _MOST else number


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"JSON has no {constant}")
