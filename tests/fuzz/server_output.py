"""Checks of what a server sends to a client that sends rubbish."""

from __future__ import annotations

import re
import zlib

from crosswire.core.frame_reader import Frame, FrameReader
from crosswire.core.frames import Opcode
from crosswire.errors import may_be_sent
from tests.fuzz.target import Finding

_HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [ -~]*\r\n((?:[!-9;-~]+: [ -~\t\x80-\xff]*\r\n)*)\r\n")
_LENGTH = re.compile(rb"content-length: (\d+)\r\n", re.IGNORECASE)
_MAX_CONTROL = 125


def statuses(output: bytes) -> tuple[list[int], bytes]:
    """Return the HTTP statuses of what a server sent, and what follows the last head and its body.

    Raises:
        Finding: it is no HTTP response.
    """
    found: list[int] = []
    while output and (not found or found[-1] == 100):
        head = _HEAD.match(output)
        if head is None:
            raise Finding(f"no HTTP response: {output[:300]!r}")
        found.append(int(head[1]))
        length = _LENGTH.search(head[2])
        output = output[head.end() + (int(length[1]) if length and found[-1] != 101 else 0) :]
    return found, output


def check_frames(output: bytes) -> int | None:
    """Check the frames that a server sent; return the code of its Close, if there was one.

    Raises:
        Finding: a frame is not as RFC 6455 says, or something follows the Close.
    """
    reader = FrameReader()
    reader.feed(output)
    code: int | None = None
    while (frame := _next(reader)) is not None:
        if code is not None:
            raise Finding(f"a frame behind the Close: {frame}")
        payload = frame.payload
        if frame.opcode in (Opcode.CLOSE, Opcode.PING, Opcode.PONG):
            if not frame.final or len(payload) > _MAX_CONTROL or frame.rsv1:
                raise Finding(f"no control frame: {frame}")
        elif frame.rsv1:
            payload = zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")
        if frame.opcode is Opcode.TEXT:
            payload.decode()
        if frame.opcode is Opcode.CLOSE:
            code = _code(payload)
    return code


def _next(reader: FrameReader) -> Frame | None:
    try:
        return reader.next()
    except ValueError as error:
        raise Finding(f"a frame with an unknown opcode: {error}") from error


def _code(payload: bytes) -> int:
    if not payload:
        return 1005
    code = int.from_bytes(payload[:2], "big")
    payload[2:].decode()
    if not may_be_sent(code):
        raise Finding(f"the server closed with {code}")
    return code
