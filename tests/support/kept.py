"""Records of a room's log, as tests of timelines need them."""

from __future__ import annotations

from crosswire.core.formats import EncodedMessage
from crosswire.core.kept_messages import Kept

ALICE, BOB = b"alice---", b"bob-----"
"""Senders."""


def kept(offset: int, *, time: int = 0, origin: bytes = ALICE, number: int | None = None, size: int = 20) -> Kept:
    """Return a message of a log, whose number is its offset unless another one is given."""
    return Kept(offset, time, origin, offset if number is None else number, EncodedMessage(b"x" * size), None)


def numbered(first: int, last: int, *, time: int = 0) -> list[Kept]:
    """Return the messages of a log from one offset to another."""
    return [kept(offset, time=time) for offset in range(first, last + 1)]
