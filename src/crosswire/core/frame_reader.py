"""A parser of WebSocket frames as a client receives them: unmasked (RFC 6455, section 5.2). Sans-IO."""

from __future__ import annotations

from typing import NamedTuple

from crosswire.core.frames import Opcode

_FIN, _RSV1, _OPCODE = 0x80, 0x40, 0x0F
_LENGTH = 0x7F
_LONG = {126: 2, 127: 8}  # short length -> bytes of the length that follows


class Frame(NamedTuple):
    """A WebSocket frame.

    Attributes:
        opcode: its kind.
        payload: as it was sent; compressed if ``rsv1`` is set (RFC 7692, section 6).
        final: whether no fragment follows.
        rsv1: the first reserved bit.
    """

    opcode: Opcode
    payload: bytes
    final: bool = True
    rsv1: bool = False


class FrameReader:
    """Parser that cuts a stream of bytes into frames."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    @property
    def unread(self) -> int:
        """Number of bytes that are in no complete frame yet."""
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """Add bytes that were received."""
        self._data += data

    def next(self) -> Frame | None:
        """Remove and return the next frame, or return None if it is incomplete.

        Raises:
            ValueError: its opcode is unknown.
        """
        data = self._data
        if len(data) < 2:
            return None
        length, start = data[1] & _LENGTH, 2
        if length in _LONG:
            start += _LONG[length]
            if len(data) < start:
                return None
            length = int.from_bytes(data[2:start], "big")
        end = start + length
        if len(data) < end:
            return None
        first, payload = data[0], bytes(data[start:end])
        del data[:end]
        return Frame(Opcode(first & _OPCODE), payload, bool(first & _FIN), bool(first & _RSV1))
