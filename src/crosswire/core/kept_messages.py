"""The last messages of a room that keeps history, as one node has them, and what follows a position."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import NamedTuple

import msgspec

from crosswire.core.formats import EncodedMessage
from crosswire.core.targets import Excluded

MAX_SLICES = 16
"""Slices that are remembered until the next message comes, one for each position; beyond it, all are forgotten."""


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A message of a room's log.

    Attributes:
        offset: of the message in the log.
        time: when it was kept, in milliseconds since 1970 by the clock of the log.
        origin: of the sender, 8 bytes.
        number: the sender's, larger than those of its earlier messages in the room.
        message: as clients get it, with its position.
        excluded: users and sockets that don't get it; None if there are none.
    """

    offset: int
    time: int
    origin: bytes
    number: int
    message: EncodedMessage
    excluded: Excluded | None


class Slice(NamedTuple):
    """The messages that follow a position.

    Attributes:
        messages: in order. For the same position it is the same tuple, until a further message comes.
        size: bytes of the messages as JSON.
    """

    messages: tuple[Kept, ...]
    size: int


def message_size(kept: Kept) -> int:
    """Return the bytes of a message as JSON, by which what a client gets at once is limited."""
    return len(kept.message.json)


class KeptMessages:
    """The last messages of a log, whose offsets follow each other: a bounded number of them, not older than a while.

    Args:
        size: number of messages that are kept.
        ttl: seconds for which they are kept.

    Attributes:
        last: offset of the last message that was added, whether it is still there or not.
    """

    __slots__ = ("_expired", "_ring", "_slices", "_ttl", "last")

    def __init__(self, size: int, ttl: float) -> None:
        self._ring: deque[Kept] = deque(maxlen=size)
        self._ttl = ttl * 1000
        self._slices: dict[int, Slice] = {}
        self._expired = 0
        self.last = 0

    def add(self, kept: Kept) -> None:
        """Add the message that follows the last one; drop the oldest if there are too many, or they are too old."""
        ring = self._ring
        self._slices.clear()
        ring.append(kept)
        self.last = kept.offset
        if ring[0].time < kept.time - self._ttl:
            self.drop_expired(kept.time)

    def begin_after(self, last: int, *, expired: bool = False) -> None:
        """Forget all messages, and begin again after an offset; ``expired`` if the messages before it are too old."""
        self._slices.clear()
        self._ring.clear()
        self.last = last
        self._expired = last if expired else 0

    @property
    def size(self) -> int:
        """Number of messages that are kept at most."""
        size = self._ring.maxlen
        assert size is not None
        return size

    def resize(self, size: int, ttl: float) -> None:
        """Keep another number of messages, for another time."""
        self._ring = deque(self._ring, size)
        self._ttl = ttl * 1000
        self._slices.clear()

    def drop_expired(self, now: float) -> None:
        """Drop the messages that are too old, at a time in milliseconds of the log's clock."""
        ring, oldest = self._ring, now - self._ttl
        while ring and ring[0].time < oldest:
            self._expired = ring.popleft().offset
            self._slices.clear()

    def reaches(self, offset: int) -> bool:
        """Return whether all messages after an offset are there."""
        return offset >= self._first - 1

    def is_expired(self, offset: int) -> bool:
        """Return whether the message after an offset was too old; if not, there were too many."""
        return offset < self._expired

    def time_of(self, offset: int) -> int | None:
        """Return when a message was kept; None if it is not there."""
        index = offset - self._first
        return self._ring[index].time if 0 <= index < len(self._ring) else None

    def after(self, offset: int) -> Slice:
        """Return the messages after an offset, which must all be there."""
        known = self._slices.get(offset)
        if known is None:
            if len(self._slices) >= MAX_SLICES:
                self._slices.clear()
            messages = tuple(islice(self._ring, offset - self._first + 1, None))
            known = self._slices[offset] = Slice(messages, sum(map(message_size, messages)))
        return known

    def newest(self, number: int, max_bytes: int) -> Slice:
        """Return the last messages, ``number`` at most, and not more than a client may get at once."""
        size = count = 0
        for kept in islice(reversed(self._ring), number):
            size += message_size(kept)
            if size > max_bytes:
                break
            count += 1
        return self.after(self.last - count)

    @property
    def _first(self) -> int:
        """Offset of the oldest message that is there; that of the next one if there is none."""
        return self.last - len(self._ring) + 1
