"""Text without a UTF-8 form: it contains half of a surrogate pair, as after cutting a string of UTF-16."""

from __future__ import annotations

from typing import Any

import msgspec

_KEPT = (bytes, bytearray, memoryview)
"""Types that MessagePack has and JSON has not."""


def has_utf8(text: str) -> bool:
    """Return whether a string can be sent as text at all."""
    if text.isascii():  # many times faster than encoding
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def well_formed(text: str) -> str:
    """Return ``text`` with U+FFFD for each half of a surrogate pair; two halves that belong together are joined."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def well_formed_data(data: Any, *, binary: bool) -> Any:
    """Return a copy of data, as builtin types, in which every string is :func:`well_formed`.

    Args:
        data: anything that msgspec encodes.
        binary: whether it will be encoded as MessagePack rather than JSON.

    Raises:
        TypeError: it can't be encoded.
    """
    return _well_formed(msgspec.to_builtins(data, builtin_types=_KEPT if binary else None, str_keys=not binary))


def _well_formed(value: Any) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, dict):
        return {_well_formed(key): _well_formed(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_well_formed(each) for each in value]
    return value
