"""Functions that decode the data of an event, call its handler with it, and check what that returns.

One is made for each handler.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from crosswire.core.codecs import JSON, MSGPACK, NODE_MSGPACK, UNDECODABLE, Codec
from crosswire.core.messages import ABSENT
from crosswire.core.payload_types import PayloadType, RawPayload
from crosswire.core.return_types import ReturnType
from crosswire.errors import InvalidPayload

DecodedCall = Callable[[Any, RawPayload], Any]
"""Calls a handler with as many of a subject and the decoded data as it takes.

Raises InvalidPayload for the data, and TypeError for what the handler returned, if it does not fit its annotation.
"""


def decoded_call(
    handler: Callable[..., Any],
    codec: Codec,
    kind: PayloadType,
    returns: ReturnType | None,
    *,
    arity: int,
    takes_data: bool,
) -> DecodedCall:
    """Return the function that calls a handler of an event.

    Args:
        handler: function or method of the application.
        codec: decodes the data.
        kind: the type of the data.
        returns: the type that what it returns is checked against; None if that is not checked here.
        arity: number of arguments that the handler takes.
        takes_data: whether the last of them is the data.
    """
    if not takes_data:
        return _checked(lambda subject, _payload: handler(*(subject,)[:arity]), returns)
    if arity == 1:
        return _checked(lambda _subject, payload: handler(codec.payload(kind, payload)), returns)
    decode = _DECODERS[codec](kind) if codec in _DECODERS else partial(codec.payload, kind)
    sure: tuple[type, ...] = (object,)
    items: tuple[type, ...] = ()
    few, check = -1, _unchecked
    if returns is not None:
        sure, items, few, check = returns.sure, returns.items, returns.few, returns.checked

    def call(subject: Any, payload: RawPayload) -> Any:
        """Call the usual handler: what the codec does, and the check, stand here, which is two calls less."""
        if payload is ABSENT:
            data = codec.payload(kind, payload)
        else:
            try:
                data = decode(payload)
            except UNDECODABLE as error:
                raise InvalidPayload(str(error)) from error
        value = handler(subject, data)
        if type(value) is dict and len(value) <= few:  # the usual answer: looking at it is half the work of a check
            for key in value:
                if type(key) is not str or type(value[key]) not in items:
                    break
            else:
                return value
        return value if isinstance(value, sure) else check(value)

    return call


def _checked(call: DecodedCall, returns: ReturnType | None) -> DecodedCall:
    """Return a function that checks what another one returns."""
    if returns is None:
        return call
    sure, check = returns.sure, returns.checked

    def call_and_check(subject: Any, payload: RawPayload) -> Any:
        value = call(subject, payload)
        return value if isinstance(value, sure) else check(value)

    return call_and_check


def _unchecked(value: Any) -> Any:
    return value


_DECODERS: dict[Codec, Callable[[PayloadType], Callable[[RawPayload], Any]]] = {
    JSON: lambda kind: kind.decode_json,
    MSGPACK: lambda kind: kind.from_client,
    NODE_MSGPACK: lambda kind: kind.decode_msgpack,
}
"""Functions that do what the ``payload`` of these codecs does, except for data that is absent or invalid."""
