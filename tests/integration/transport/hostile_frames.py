"""Frames that nobody should send, as a table: each with the close code that answers it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from crosswire import Limits
from crosswire.core.deflate import compress
from tests.integration.transport.raw_connection import close_frame, frame

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x2, 0x0, 0x8, 0x9, 0xA
FIN, RSV1, RSV2, RSV3 = 0x80, 0x40, 0x20, 0x10
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class HostileFrames:
    """Bytes behind an upgrade, and what a server answers.

    Attributes:
        name: of the case.
        sent: by the client, in one write.
        code: of the Close that answers them.
        deflate: whether permessage-deflate was negotiated.
    """

    name: str
    sent: bytes
    code: int
    deflate: bool = False


LIMITS = Limits(close_timeout=2, fragments=1024, max_message=MEBIBYTE)
"""The limits that the table is written for; those of messages are the defaults."""


def with_length(first: int, short: int, length: bytes = b"", payload: bytes = b"", mask: bytes = bytes(4)) -> bytes:
    """Return a frame whose length is written as given; without ``mask`` it is unmasked."""
    return bytes((first, (0x80 if mask else 0) | short)) + length + mask + payload


def length_cases() -> Iterator[HostileFrames]:
    """Yield lengths that are too large, or written in more bytes than they need."""
    for opcode in (TEXT, BINARY):
        for exponent in (62, 63, 64):
            length = (2**exponent - 1).to_bytes(8, "big")
            code = 1002 if exponent == 64 else 1009  # RFC 6455, 5.2: the highest bit must be 0
            yield HostileFrames(f"{opcode}: length 2^{exponent}-1", with_length(FIN | opcode, 127, length), code)
        for length in (MEBIBYTE + 1, 2**31, 2**32 - 1, 2**32, 2**40):
            sent = with_length(FIN | opcode, 127, length.to_bytes(8, "big"))
            yield HostileFrames(f"{opcode}: length {length}", sent, 1009)
        for length in (0, 1, 125):
            written = with_length(FIN | opcode, 126, length.to_bytes(2, "big"), bytes(length))
            yield HostileFrames(f"{opcode}: {length} in 16 bits", written, 1002)
        for length in (0, 125, 126, 65535):
            written = with_length(FIN | opcode, 127, length.to_bytes(8, "big"), bytes(length))
            yield HostileFrames(f"{opcode}: {length} in 64 bits", written, 1002)


def bit_cases() -> Iterator[HostileFrames]:
    """Yield opcodes and bits that are reserved or were not negotiated, and frames without a mask."""
    for opcode in (0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF):
        for payload in (b"", b"x"):
            yield HostileFrames(f"opcode {opcode}, {len(payload)} bytes", frame(FIN | opcode, payload), 1002)
        yield HostileFrames(f"opcode {opcode}, not final", frame(opcode, b"x"), 1002)
    for opcode in (TEXT, BINARY, CLOSE, PING, PONG):
        for bits in range(RSV3, FIN, RSV3):
            yield HostileFrames(f"opcode {opcode}, bits {bits:#x}", frame(FIN | bits | opcode, b"\x03\xe8"), 1002)
        for bits in (RSV2, RSV3, RSV1 | RSV2):
            sent = frame(FIN | bits | opcode, b"\x03\xe8")
            yield HostileFrames(f"opcode {opcode}, bits {bits:#x}, deflate", sent, 1002, deflate=True)
        unmasked = with_length(FIN | opcode, 2, payload=b"\x03\xe8", mask=b"")
        yield HostileFrames(f"opcode {opcode} unmasked", unmasked, 1002)
    for opcode in (CLOSE, PING, PONG):
        sent = frame(FIN | RSV1 | opcode, compress(b"\x03\xe8"))
        yield HostileFrames(f"opcode {opcode} compressed", sent, 1002, deflate=True)


def control_cases() -> Iterator[HostileFrames]:
    """Yield control frames that are fragmented or too long."""
    for opcode in (CLOSE, PING, PONG):
        yield HostileFrames(f"opcode {opcode} fragmented", frame(opcode, b"\x03\xe8"), 1002)
        yield HostileFrames(f"opcode {opcode} fragmented, empty", frame(opcode), 1002)
        for size in (126, 127, 65536):
            sent = frame(FIN | opcode, b"\x03\xe8" + b"x" * (size - 2))
            yield HostileFrames(f"opcode {opcode} of {size} bytes", sent, 1002)
    yield HostileFrames("a ping, continued", frame(PING, b"1") + frame(FIN | CONTINUATION, b"2"), 1002)


def fragment_cases() -> Iterator[HostileFrames]:
    """Yield fragments in the wrong order, too many of them, or too large together."""
    begun = frame(TEXT, b"x")
    for opcode in (TEXT, BINARY):
        for fin in (0, FIN):
            sent = begun + frame(fin | opcode, b"y")
            yield HostileFrames(f"opcode {opcode} with FIN {fin:#x} inside a message", sent, 1002)
        whole = frame(opcode, b"x") + frame(FIN | CONTINUATION, b"y")
        yield HostileFrames(f"opcode {opcode}: continued behind its end", whole + frame(CONTINUATION), 1002)
        for payload in (b"", b"x"):
            many = frame(opcode, payload) + frame(CONTINUATION, payload) * 200_000
            yield HostileFrames(f"opcode {opcode}: 200,000 fragments of {len(payload)} bytes", many, 1009)
        half = bytes(MEBIBYTE // 2)
        large = frame(opcode, half) + frame(CONTINUATION, half) + frame(CONTINUATION, b"x")
        yield HostileFrames(f"opcode {opcode}: fragments of a byte too much", large, 1009)
    yield HostileFrames("a continuation of nothing", frame(CONTINUATION, b"x"), 1002)
    yield HostileFrames("the last fragment of nothing", frame(FIN | CONTINUATION), 1002)
    pinged = (frame(CONTINUATION) + frame(FIN | PING, b"x")) * 2000
    yield HostileFrames("2,000 empty fragments, pings between them", begun + pinged, 1009)
    yield HostileFrames("RSV1 on a continuation", begun + frame(FIN | RSV1, b"x"), 1002, deflate=True)


def close_cases() -> Iterator[HostileFrames]:
    """Yield Close frames with codes and reasons that must not be sent, and what comes behind a right one."""
    wrong = [0, 1, 500, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2500, 2999, 5000, 5001, 10_000, 65535]
    for code in wrong:
        yield HostileFrames(f"close {code}", close_frame(code), 1002)
        yield HostileFrames(f"close {code} with a reason", close_frame(code, b"because"), 1002)
    for byte in (b"\x00", b"\x03", b"\xff"):
        yield HostileFrames(f"close of the byte {byte.hex()}", frame(FIN | CLOSE, byte), 1002)
    for reason in (b"\xff", b"\xc3", b"\xed\xa0\x80", b"ok \xf4\x90\x80\x80", b"x" * 122 + b"\xc3"):
        yield HostileFrames(f"close with the reason {reason[-4:].hex()}", close_frame(1000, reason), 1007)
    good = close_frame(1000)
    for name, behind in {
        "a message": frame(FIN | TEXT, b"late"),
        "a close of another code": close_frame(1001),
        "a broken close": frame(FIN | CLOSE, b"\x03"),
        "a reserved opcode": frame(FIN | 0x3),
        "a length of 2^63-1": with_length(FIN | TEXT, 127, (2**63 - 1).to_bytes(8, "big")),
        "no WebSocket": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "a hundred pings": frame(FIN | PING) * 100,
    }.items():
        yield HostileFrames(f"close, and behind it {name}", good + behind, 1000)


NO_UTF8 = {
    "a lone continuation byte": b"\x80",
    "cut short": b"\xe2\x82",
    "overlong": b"\xc0\xaf",
    "overlong in three bytes": b"\xe0\x80\xaf",
    "a surrogate": b"\xed\xa0\x80",
    "a pair of surrogates": b"\xed\xa0\x80\xed\xb0\x80",
    "beyond U+10FFFF": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "no byte of UTF-8": b"\xfe",
}
_AROUND = "κ€".encode()


def text_cases() -> Iterator[HostileFrames]:
    """Yield text that is no UTF-8, whole and split into two fragments at each position."""
    for name, bad in NO_UTF8.items():
        cut = name == "cut short"
        payload = _AROUND + bad + (b"" if cut else _AROUND)
        yield HostileFrames(f"{name}, whole", frame(FIN | TEXT, payload), 1007)
        yield HostileFrames(f"{name}, compressed", frame(FIN | RSV1 | TEXT, compress(payload)), 1007, deflate=True)
        for position in range(len(payload) + 1):
            sent = frame(TEXT, payload[:position]) + frame(FIN | CONTINUATION, payload[position:])
            yield HostileFrames(f"{name}, split at {position}", sent, 1007)
        if not cut:  # what is cut short might still be continued
            yield HostileFrames(f"{name}, and no end", frame(TEXT, payload), 1007)


def bomb(size: int) -> bytes:
    """Return zeros, compressed a thousandfold: a block of them that depends on nothing before, again and again."""
    block = min(size, 16 * MEBIBYTE)
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = compressor.compress(bytes(block)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return packed * (size // block)


def deflate_cases() -> Iterator[HostileFrames]:
    """Yield compressed messages that are too large when inflated, or that can't be inflated."""

    def sent(payload: bytes, opcode: int = TEXT) -> bytes:
        return frame(FIN | RSV1 | opcode, payload)

    for size in (2, 16, 256, 1008):
        packed = bomb(size * MEBIBYTE)
        yield HostileFrames(f"a bomb of {size} MiB", sent(packed), 1009, deflate=True)
        middle = len(packed) // 2
        halves = frame(RSV1 | BINARY, packed[:middle]) + frame(FIN | CONTINUATION, packed[middle:])
        yield HostileFrames(f"a bomb of {size} MiB in fragments", halves, 1009, deflate=True)
    nested = compress(bomb(512 * MEBIBYTE) * 2 + bomb(1024 * MEBIBYTE))
    yield HostileFrames("a bomb in a bomb", sent(nested), 1009, deflate=True)
    yield HostileFrames("a byte too much", sent(compress(bytes(MEBIBYTE + 1))), 1009, deflate=True)
    for name, broken in {
        "a reserved type of block": b"\x07",
        "a stored block whose length is not confirmed": b"\x01\x05\x00\x00\x00hello",
        "a distance before the beginning": b"\x4b\x04\x72",
        "no deflate": b"not deflate",
        "ones": b"\xff" * 100,
        "a zlib header": zlib.compress(b"hello"),
        "half of a message": compress(bytes(range(200)) * 2)[:100],
        "a message without its last byte": compress(b"hello, hello, hello")[:-1],
        "one message behind another": zlib.compress(b"hello", wbits=-15) + compress(b"more"),
    }.items():
        yield HostileFrames(f"compressed: {name}", sent(broken), 1007, deflate=True)
        yield HostileFrames(f"compressed binary: {name}", sent(broken, BINARY), 1007, deflate=True)


GROUPS: Mapping[str, Callable[[], Iterator[HostileFrames]]] = {
    "lengths": length_cases,
    "bits, opcodes and masks": bit_cases,
    "control frames": control_cases,
    "fragments": fragment_cases,
    "closes": close_cases,
    "text": text_cases,
    "compressed messages": deflate_cases,
}
"""The cases, by what is wrong with them."""
