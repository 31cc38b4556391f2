"""permessage-deflate without context takeover (RFC 7692): a compressed message depends on no other.

So one compressed frame serves every recipient, and a connection keeps no window between messages.
"""

from __future__ import annotations

import re
import zlib

from crosswire.core.headers import Headers
from crosswire.errors import ProtocolFailure
from crosswire.types import CloseCode

_TAIL = b"\x00\x00\xff\xff"
"""End of a flushed block, which is left out of a message (RFC 7692, section 7.2.1)."""
_RAW = -zlib.MAX_WBITS
MIN_SIZE = 256
"""Shorter messages, in bytes, are sent as they are: compressing them costs more than it saves."""

RESPONSE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
"""The ``Sec-WebSocket-Extensions`` field that accepts an offer."""

_ACCEPTABLE_PARAMETER = re.compile(
    r'(?:(?:server|client)_no_context_takeover|client_max_window_bits(?:\s*=\s*"?(?:[89]|1[0-5])"?)?)', re.ASCII
)
"""A parameter of an acceptable offer; with one that is unknown, invalid or repeated, it is declined (section 7.1)."""


def offered(headers: Headers) -> bool:
    """Return whether the client offers permessage-deflate with acceptable parameters (RFC 7692, section 7.1)."""
    for value in headers.get_all("sec-websocket-extensions"):
        for offer in value.split(","):
            name, *parameters = (part.strip() for part in offer.split(";"))
            if name == "permessage-deflate" and _are_acceptable(parameters):
                return True
    return False


def _are_acceptable(parameters: list[str]) -> bool:
    names = {each.partition("=")[0].strip() for each in parameters}
    return len(names) == len(parameters) and all(_ACCEPTABLE_PARAMETER.fullmatch(each) for each in parameters)


def compress(payload: bytes) -> bytes:
    """Compress the payload of one message (RFC 7692, section 7.2.1)."""
    compressor = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, _RAW)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(_TAIL)]


def decompress(payload: bytes, limit: int) -> bytes:
    """Decompress the payload of one message (RFC 7692, section 7.2.2), at most ``limit`` bytes of it.

    Raises:
        ProtocolFailure: it is no deflate stream (1007), or longer than the limit (1009).
    """
    decompressor = zlib.decompressobj(_RAW)
    try:
        message = decompressor.decompress(payload + _TAIL, limit + 1)
    except zlib.error as error:
        raise ProtocolFailure(CloseCode.INVALID_TEXT, "a compressed message that can't be decompressed") from error
    if len(message) > limit:
        raise ProtocolFailure(CloseCode.TOO_BIG, f"a message of more than {limit} bytes when decompressed")
    return message
