"""Typed payloads: data is decoded into the type that a handler's annotation names, before the handler runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from crosswire.core.json_types import holds_bytes, to_json_types
from crosswire.errors import ConfigError, InvalidPayload

PartT = TypeVar("PartT")

RawPayload = msgspec.Raw
"""A payload that is not decoded yet."""

_encode_json = msgspec.json.Encoder().encode
_decode_msgpack = msgspec.msgpack.Decoder().decode
_MAY_HOLD_BYTES = re.compile(b"[\xc4-\xc6]")
"""Bytes with which binary data of MessagePack begins; other text than ASCII has them too."""


def decode_answer(decode: Callable[..., Any], *arguments: object) -> Any:
    """Return what ``decode`` makes of an answer, in a type that the application has asked for.

    Args:
        decode: decodes a payload, and raises :exc:`InvalidPayload`.
        arguments: of ``decode``.

    Raises:
        InvalidPayload: the answer is not of the type, or the type itself raised an error, as in ``__post_init__``.
    """
    try:
        return decode(*arguments)
    except InvalidPayload:
        raise
    except Exception as error:
        raise InvalidPayload(f"the type of the answer raised {type(error).__name__}") from error


class PayloadType:
    """Decoder of payloads, from JSON or MessagePack, into one Python type.

    A client's MessagePack means what it would in JSON, so a handler can't tell which it was: see :meth:`from_client`.
    Between nodes MessagePack keeps all its types: see :meth:`from_msgpack`.

    Args:
        annotation: anything msgspec understands: a Struct, dataclass, TypedDict or builtin type; Any and object
            take everything.

    Raises:
        ConfigError: the type can't be decoded.

    Attributes:
        decode_json: as :meth:`from_json`, but raises what msgspec raises.
        decode_msgpack: the same of :meth:`from_msgpack`.
    """

    __slots__ = ("_open", "annotation", "decode_json", "decode_msgpack")

    def __init__(self, annotation: Any) -> None:
        try:
            info = msgspec.inspect.type_info(annotation)
            self.decode_json: Callable[[bytes | str | RawPayload], Any] = msgspec.json.Decoder(annotation).decode
            self.decode_msgpack: Callable[[bytes | RawPayload], Any] = msgspec.msgpack.Decoder(annotation).decode
        except (TypeError, NameError) as error:
            raise ConfigError(f"{annotation!r} can't be a payload's type: {error}") from error
        custom = [each.cls for each in _parts(info, msgspec.inspect.CustomType)]
        if any(cls is not object for cls in custom):  # msgspec would need a hook for it; everything is an object
            raise ConfigError(
                f"{annotation!r} can't be a payload's type: use a msgspec Struct, dataclass, TypedDict or builtin type"
            )
        self.annotation = annotation
        self._open = bool(custom) or bool(_parts(info, msgspec.inspect.AnyType))

    def from_json(self, raw: bytes | str | RawPayload) -> Any:
        """Decode JSON.

        Raises:
            InvalidPayload: it is no JSON, or not of this type.
        """
        try:
            return self.decode_json(raw)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            raise InvalidPayload(str(error)) from error

    def from_msgpack(self, raw: bytes | RawPayload) -> Any:
        """Decode MessagePack; otherwise as :meth:`from_json`."""
        try:
            return self.decode_msgpack(raw)
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            raise InvalidPayload(str(error)) from error

    def from_client(self, raw: bytes | RawPayload) -> Any:
        """Decode a client's MessagePack as its JSON form would be decoded: keys are text, NaN is null, and so on.

        Only bytes, which JSON does not have, stay bytes if the annotation allows anything.

        Raises:
            InvalidPayload: it is no MessagePack, has no JSON form, or is not of this type.
        """
        try:
            value = _decode_msgpack(raw)
            if self._open and _MAY_HOLD_BYTES.search(raw) and holds_bytes(value):
                return msgspec.convert(to_json_types(value), self.annotation, str_keys=True)
            return self.decode_json(_encode_json(value))
        except (msgspec.MsgspecError, RecursionError, ValueError, TypeError) as error:
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


def _parts(info: Any, kind: type[PartT]) -> list[PartT]:
    """Return all parts of a type that are of one kind, at any depth."""
    found = []
    pending, seen = [info], set()
    while pending:
        item = pending.pop()
        if isinstance(item, kind):
            found.append(item)
        if id(item) in seen or not isinstance(item, msgspec.Struct):
            continue
        seen.add(id(item))
        for value in msgspec.structs.asdict(item).values():
            pending.extend(value if isinstance(value, tuple) else [value])
    return found


ANY = payload_type(Any)
