"""JSON and MessagePack with the values that both JavaScript and Python can hold."""

from __future__ import annotations

from typing import Any

import msgspec

from crosswire.core.codecs import Codec
from crosswire.core.payload_types import PayloadType, RawPayload
from crosswire.errors import InvalidPayload

_MAX_SAFE_INTEGER = 2**53 - 1
"""The largest integer that JavaScript's numbers hold exactly."""


class OriginalCodec:
    """A :class:`~crosswire.core.codecs.Codec` that refuses values which would arrive as something else.

    Args:
        codec: JSON or MessagePack.
    """

    __slots__ = ("_codec", "binary", "decode")

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.binary = codec.binary
        self.decode = codec.decode

    def payload(self, kind: PayloadType, raw: RawPayload) -> Any:
        value = self._codec.payload(kind, raw)
        if self.binary and _holds_extension(value):
            raise InvalidPayload("the data holds a MessagePack extension, which has no meaning here")
        return value

    def encode(self, message: Any) -> bytes:
        if isinstance(message, msgspec.Raw):  # another thread has encoded it
            return bytes(message)
        if not isinstance(message, msgspec.Struct):
            message = _for_javascript(message, binary=self.binary)
        return self._codec.encode(message)


def _for_javascript(data: Any, *, binary: bool) -> Any:
    """Return data as plain types.

    Raises:
        InvalidPayload: it holds an integer beyond 2**53 - 1, or bytes where JSON is spoken.
    """
    try:
        plain = msgspec.to_builtins(data, builtin_types=(bytes, bytearray, memoryview), str_keys=True)
    except (TypeError, ValueError, RecursionError, AttributeError) as error:
        raise InvalidPayload(f"the data has no form that can be sent: {error}") from error
    for value in _leaves(plain):
        if isinstance(value, int) and not -_MAX_SAFE_INTEGER <= value <= _MAX_SAFE_INTEGER:
            raise InvalidPayload(f"original servers can't hold the integer {value}: send it as a string")
        if isinstance(value, bytes | bytearray | memoryview) and not binary:
            raise InvalidPayload("original servers that speak JSON can't take bytes: send them as text")
    return plain


def _holds_extension(value: Any) -> bool:
    return any(isinstance(each, msgspec.msgpack.Ext) for each in _leaves(value))


def _leaves(value: Any) -> list[Any]:
    """List the values in lists and dicts, however deep."""
    leaves, pending = [], [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list | tuple):
            pending.extend(item)
        else:
            leaves.append(item)
    return leaves
