"""Headers of the PROXY protocol, version 2."""

from __future__ import annotations

V2 = b"\r\n\r\n\0\r\nQUIT\n"


def v2(body: bytes, *, version: int = 2, command: int = 1, family: int = 0x11) -> bytes:
    return V2 + bytes((version << 4 | command, family)) + len(body).to_bytes(2, "big") + body


def tlv(kind: int, value: bytes) -> bytes:
    return bytes((kind,)) + len(value).to_bytes(2, "big") + value
