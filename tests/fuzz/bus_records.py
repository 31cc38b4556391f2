"""Inputs that are messages on the channels of a bus: each with its channel, what is done with it, and its length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MAX_RECORDS = 50
_HEAD = 4


def records(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield the number of a channel, a mode, and the bytes of a message; any bytes are such records."""
    for _ in range(MAX_RECORDS):
        if len(data) < _HEAD:
            return
        size = int.from_bytes(data[2:_HEAD], "big")
        yield data[0], data[1], data[_HEAD : _HEAD + size]
        data = data[_HEAD + size :]


def encode_records(messages: Iterable[tuple[int, int, bytes]]) -> bytes:
    """Return an input with these records; the opposite of :func:`records`."""
    return b"".join(bytes((channel, mode)) + len(body).to_bytes(2, "big") + body for channel, mode, body in messages)
