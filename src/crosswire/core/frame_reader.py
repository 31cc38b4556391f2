"""Reads WebSocket frames as a server's peer gets them: unmasked (RFC 6455, section 5.2). Sans-IO."""

from __future__ import annotations

from typing import NamedTuple

from crosswire.core.frames import Opcode

_FIN, _RSV1, _OPCODE = 0x80, 0x40, 0x0F
_LENGTH = 0x7F
_LONG = {126: 2, 127: 8}  # what the short length says -> bytes of the length that follows


class Frame(NamedTuple):
    """One frame.

    Attributes:
        opcode: what it is.
        payload: as it was sent; compressed if ``rsv1`` is set (RFC 7692, section 6).
        final: whether no fragment follows.
        rsv1: the first reserved bit.
    """

    opcode: Opcode
    payload: bytes
    final: bool = True
    rsv1: bool = False


class FrameReader:
    """Cuts a stream of bytes into frames."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    @property
    def unread(self) -> int:
        """Bytes that are in no frame yet."""
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """Add what arrived."""
        self._data += data

    def next(self) -> Frame | None:
        """Take the next frame, or return None if it is not whole yet.

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
