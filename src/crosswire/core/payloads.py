"""Typed payloads: what a handler's annotation says its data is, checked before it runs."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from crosswire.errors import ConfigError, InvalidPayload

RawPayload = msgspec.Raw
"""A payload still in its wire form."""


class PayloadType:
    """Decodes a payload, from JSON or MessagePack, into one Python type.

    Args:
        annotation: anything msgspec understands: a Struct, dataclass, TypedDict or builtin type; Any takes everything.

    Raises:
        ConfigError: the type can't be decoded.
    """

    __slots__ = ("_json", "_msgpack", "annotation")

    def __init__(self, annotation: Any) -> None:
        try:
            custom = _names_custom_type(msgspec.inspect.type_info(annotation))
            self._json = msgspec.json.Decoder(annotation)
            self._msgpack = msgspec.msgpack.Decoder(annotation)
        except (TypeError, NameError) as error:
            raise ConfigError(f"{annotation!r} can't be a payload's type: {error}") from error
        if custom:
            raise ConfigError(
                f"{annotation!r} can't be a payload's type: use a msgspec Struct, dataclass, TypedDict or builtin type"
            )
        self.annotation = annotation

    def from_json(self, raw: bytes | str | RawPayload) -> Any:
        """Decode JSON.

        Raises:
            InvalidPayload: it is no JSON, or not of this type.
        """
        try:
            return self._json.decode(raw)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            raise InvalidPayload(str(error)) from error

    def from_msgpack(self, raw: bytes | RawPayload) -> Any:
        """Decode MessagePack; otherwise as :meth:`from_json`."""
        try:
            return self._msgpack.decode(raw)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            raise InvalidPayload(str(error)) from error


@lru_cache(maxsize=1024)
def _cached(annotation: Any) -> PayloadType:
    return PayloadType(annotation)


def payload_type(annotation: Any) -> PayloadType:
    """Return the (shared) :class:`PayloadType` of an annotation."""
    try:
        return _cached(annotation)
    except TypeError:  # an unhashable annotation, such as Annotated[int, []]
        return PayloadType(annotation)


def _names_custom_type(info: Any) -> bool:
    """Whether msgspec would need a hook of ours to decode the type."""
    pending, seen = [info], set()
    while pending:
        item = pending.pop()
        if isinstance(item, msgspec.inspect.CustomType):
            return True
        if id(item) in seen or not isinstance(item, msgspec.Struct):
            continue
        seen.add(id(item))
        for value in msgspec.structs.asdict(item).values():
            pending.extend(value if isinstance(value, tuple) else [value])
    return False


ANY = payload_type(Any)
