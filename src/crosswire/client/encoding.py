"""Encodes the messages that a client sends, and replaces text that has no UTF-8 form."""

from __future__ import annotations

from typing import Any

from crosswire.core.codecs import Codec
from crosswire.core.utf8 import well_formed_data
from crosswire.errors import InvalidPayload


def encode(codec: Codec, message: Any) -> bytes:
    """Encode a message; half of a surrogate pair in a text of it, which has no UTF-8 form, becomes U+FFFD.

    Raises:
        InvalidPayload: it can't be encoded for another reason.
    """
    try:
        return codec.encode(message)
    except InvalidPayload as error:
        if not isinstance(error.__cause__, UnicodeEncodeError):
            raise
        try:
            data = well_formed_data(message, binary=codec.binary)
        except (TypeError, ValueError, RecursionError) as reason:
            raise InvalidPayload(f"the data can't be encoded: {reason}") from reason
        return codec.encode(data)
