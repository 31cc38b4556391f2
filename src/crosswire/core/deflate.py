"""permessage-deflate without context takeover (RFC 7692): a compressed message depends on no other.

So one compressed frame serves every recipient with the same window, and a connection keeps none between messages.
"""

from __future__ import annotations

import re
import zlib

from crosswire.core.headers import Headers
from crosswire.errors import ProtocolFailure
from crosswire.types import CloseCode

_TAIL = b"\x00\x00\xff\xff"
"""End of a flushed block, which is left out of a message (RFC 7692, section 7.2.1)."""
_ENDING = _TAIL + b"\x01\x00\x00\xff\xff"
"""The same, and an empty last block: behind a message that is whole, they end the stream."""
_BEHIND_LAST_BLOCK = frozenset({b"", b"\0"})
"""Bytes that may follow if a message itself has a last block (RFC 7692, section 7.2.3.5)."""
MAX_WINDOW_BITS = zlib.MAX_WBITS
"""Base-2 logarithm of the largest window."""
MIN_SIZE = 256
"""Shorter messages, in bytes, are sent as they are: compressing them costs more than it saves."""

LARGE = 128 * 1024
"""Bytes of a message from which on it is compressed with less effort."""
_LARGE_LEVEL = 4
"""Level for large messages: a MiB of few different letters takes 16 ms, and 130 ms with zlib's default.

It becomes hardly larger; lower levels make it so, and save no more than half of these 16 ms.
"""

_RESPONSE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
_TAKEOVER = frozenset({"server_no_context_takeover", "client_no_context_takeover"})
_WINDOW = re.compile(r'"?([89]|1[0-5])"?', re.ASCII)
_WINDOWS = (MAX_WINDOW_BITS, 12, 9)
"""Base-2 logarithms of the windows that are agreed to, so that no broadcast is compressed more than three times.

zlib can't compress with one smaller than the last; an offer that asks for it is declined.
"""
_MEMORY_LEVELS = {15: 8, 14: 6}
"""Memory that zlib uses beside the window: no less speed than with more, by the bits of the window."""
_LEAST_MEMORY_LEVEL = 5


def agree(headers: Headers) -> int:
    """Return the window for what the server sends, in bits, by the first acceptable offer; 0 if there is none.

    RFC 7692, section 7.1. A window of the client's is no matter: what it sends is inflated with the largest.
    """
    for value in headers.get_all("sec-websocket-extensions"):
        for offer in value.split(","):
            name, *parameters = (part.strip() for part in offer.split(";"))
            if name == "permessage-deflate" and (window_bits := _acceptable_window(parameters)):
                return window_bits
    return 0


def response(window_bits: int) -> str:
    """Return the ``Sec-WebSocket-Extensions`` field that accepts an offer."""
    return _RESPONSE if window_bits == MAX_WINDOW_BITS else f"{_RESPONSE}; server_max_window_bits={window_bits}"


def _acceptable_window(parameters: list[str]) -> int:
    """Return the window that an offer leaves, in bits; 0 if a parameter is unknown, invalid or repeated."""
    window_bits, names = MAX_WINDOW_BITS, set[str]()
    for parameter in parameters:
        name, valued, value = (part.strip() for part in parameter.partition("="))
        names.add(name)
        window = _WINDOW.fullmatch(value)
        if name == "server_max_window_bits" and window and int(window[1]) >= _WINDOWS[-1]:
            window_bits = next(bits for bits in _WINDOWS if bits <= int(window[1]))
        elif not (name == "client_max_window_bits" and (window or not valued)) and not (
            name in _TAKEOVER and not valued
        ):
            return 0
    return window_bits if len(names) == len(parameters) else 0


def compress(payload: bytes, window_bits: int = MAX_WINDOW_BITS) -> bytes:
    """Compress the payload of one message (RFC 7692, section 7.2.1).

    A short message needs no larger window than itself, and zlib clears less memory for a small one. A large one is
    compressed with less effort: a client may have chosen what is sent to it so that it takes long.
    """
    bits = min(window_bits, max(len(payload).bit_length(), _WINDOWS[-1]))
    memory_level = _MEMORY_LEVELS.get(bits, _LEAST_MEMORY_LEVEL)
    level = _LARGE_LEVEL if len(payload) >= LARGE else zlib.Z_DEFAULT_COMPRESSION
    compressor = zlib.compressobj(level, zlib.DEFLATED, -bits, memory_level)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(_TAIL)]


def decompress(payload: bytes, limit: int) -> bytes:
    """Decompress the payload of one message (RFC 7692, section 7.2.2), at most ``limit`` bytes of it.

    Raises:
        ProtocolFailure: it is no deflate stream, or not all of one (1007), or longer than the limit (1009).
    """
    if not payload:
        return b""
    decompressor = zlib.decompressobj(-MAX_WINDOW_BITS)
    try:
        message = decompressor.decompress(payload, limit + 1)
        if len(message) > limit:
            raise ProtocolFailure(CloseCode.TOO_BIG, f"a message of more than {limit} bytes when decompressed")
        if decompressor.eof:
            whole = decompressor.unused_data in _BEHIND_LAST_BLOCK
        else:
            rest = decompressor.decompress(_ENDING, 1)
            whole = decompressor.eof and not rest and not decompressor.unused_data
    except zlib.error as error:
        raise ProtocolFailure(CloseCode.INVALID_TEXT, "a compressed message that can't be decompressed") from error
    if not whole:
        raise ProtocolFailure(CloseCode.INVALID_TEXT, "a compressed message that is cut short, or has bytes behind it")
    return message
