"""Functions that decode the data of an event, and call its handler with it. One is made for each handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crosswire.core.codecs import JSON, NODE_MSGPACK, UNDECODABLE, Codec
from crosswire.core.messages import ABSENT
from crosswire.core.payload_types import PayloadType, RawPayload
from crosswire.errors import InvalidPayload

DecodedCall = Callable[[Any, RawPayload], Any]
"""Calls a handler with as many of a subject and the decoded data as it takes; raises InvalidPayload."""


def decoded_call(
    handler: Callable[..., Any], codec: Codec, kind: PayloadType, *, arity: int, takes_data: bool
) -> DecodedCall:
    """Return the function that calls a handler of an event.

    Args:
        handler: function or method of the application.
        codec: decodes the data.
        kind: the type of the data.
        arity: number of arguments that the handler takes.
        takes_data: whether the last of them is the data.
    """
    if not takes_data:
        return lambda subject, _payload: handler(*(subject,)[:arity])
    if arity == 1:
        return lambda _subject, payload: handler(codec.payload(kind, payload))
    decode = _DECODERS[codec](kind) if codec in _DECODERS else None
    if decode is None:
        return lambda subject, payload: handler(subject, codec.payload(kind, payload))

    def call(subject: Any, payload: RawPayload) -> Any:
        """Do the same for the usual handler: what the codec does stands here, which is one call less for each event."""
        if payload is ABSENT:
            return handler(subject, codec.payload(kind, payload))
        try:
            data = decode(payload)
        except UNDECODABLE as error:
            raise InvalidPayload(str(error)) from error
        return handler(subject, data)

    return call


_DECODERS: dict[Codec, Callable[[PayloadType], Callable[[RawPayload], Any]]] = {
    JSON: lambda kind: kind.decode_json,
    NODE_MSGPACK: lambda kind: kind.decode_msgpack,
}
"""Functions of msgspec that do what the ``payload`` of these codecs does, except for data that is absent or invalid."""
