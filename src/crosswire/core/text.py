"""Text that has no UTF-8 form: half of a surrogate pair, as what cuts a string between two UTF-16 units leaves it."""

from __future__ import annotations

from typing import Any

import msgspec

_KEPT = (bytes, bytearray, memoryview)
"""What a client says in MessagePack otherwise than in JSON."""


def well_formed(text: str) -> str:
    """Return ``text`` with U+FFFD for each half of a surrogate pair; two halves that belong together are joined."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def mended(data: Any, *, binary: bool) -> Any:
    """Return a copy of data, as builtin types, in which every string is :func:`well_formed`.

    Args:
        data: anything that msgspec encodes.
        binary: whether it will be encoded as MessagePack rather than JSON.

    Raises:
        TypeError: it can't be encoded.
    """
    return _mend(msgspec.to_builtins(data, builtin_types=_KEPT if binary else None, str_keys=not binary))


def _mend(value: Any) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, dict):
        return {_mend(key): _mend(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_mend(each) for each in value]
    return value
