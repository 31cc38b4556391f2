"""The rate at which the messages and bytes of one connection are read."""

from __future__ import annotations

from collections.abc import Callable

from crosswire.core.frames import frame_size
from crosswire.core.limits import Limits
from crosswire.core.token_bucket import TokenBucket
from crosswire.runtime import environment

MIN_WAIT = 0.01
"""Seconds that a connection waits at least, once it is over a rate: a timer for each message would be work."""
_LONGEST_HEADER = 14
"""Bytes of the longest header of a frame, with its mask (RFC 6455, section 5.2)."""

HeldBack = Callable[[str], None]
"""Told that a connection is over a rate, by the name of its limit."""


class ReadRate:
    """The messages and bytes that one connection's peer may have read now; see ``Limits.message_rate``.

    Every frame counts as a message, a control frame or a fragment too.

    Args:
        limits: with at least one of the two rates.
        held_back: called when the connection begins to wait.
    """

    __slots__ = ("_bytes", "_header", "_held_back", "_left", "_messages")

    def __init__(self, limits: Limits, held_back: HeldBack) -> None:
        now = environment.monotonic()
        self._messages: TokenBucket | None = None
        self._bytes: TokenBucket | None = None
        if limits.message_rate is not None:
            self._messages = TokenBucket(limits.message_rate, limits.burst or limits.message_rate, now)
        if limits.byte_rate is not None:
            self._bytes = TokenBucket(limits.byte_rate, limits.byte_rate, now)
        self._held_back = held_back
        self._header = b""  # of a frame, as far as it was admitted
        self._left = 0  # bytes of a frame whose header was admitted

    @staticmethod
    def of(limits: Limits, held_back: HeldBack) -> ReadRate | None:
        """Return the rate of a connection, or None if there is no limit."""
        if limits.message_rate is None and limits.byte_rate is None:
            return None
        return ReadRate(limits, held_back)

    def admit(self, data: memoryview) -> int:
        """Return how many of these bytes, the next of the connection's frames, are to be handled now; 0 if none may."""
        now = environment.monotonic()
        size = len(data) if self._bytes is None else min(len(data), self._bytes.available(now))
        if self._messages is not None:
            size = self._admit_frames(self._messages, data[:size], self._messages.available(now))
        if self._bytes is not None:
            self._bytes.take(size)
        return size

    def admit_message(self, size: int) -> float:
        """Count a message that has been received whole; return the seconds after which the next may be."""
        now = environment.monotonic()
        delay = 0.0
        for bucket, count in ((self._messages, 1), (self._bytes, size)):
            if bucket is not None:
                bucket.available(now)
                bucket.take(count)
                delay = max(delay, bucket.delay())
        if delay:
            self._tell()
        return delay

    def wait(self) -> float:
        """Return the seconds to wait when nothing was admitted."""
        self._tell()
        delays = (0 if bucket is None else bucket.delay() for bucket in (self._messages, self._bytes))
        return max(MIN_WAIT, *delays)

    def _tell(self) -> None:
        is_messages = self._messages is not None and self._messages.delay() > 0
        self._held_back("message_rate" if is_messages else "byte_rate")

    def _admit_frames(self, bucket: TokenBucket, data: memoryview, available: int) -> int:
        """Return the bytes of ``data`` that belong to frames which may be handled, and take a token for each."""
        position, end = 0, len(data)
        while position < end:
            if not self._left:
                header = self._header + bytes(data[position : position + _LONGEST_HEADER])
                whole = frame_size(header)
                if not whole:
                    self._header = header
                    return end
                if not available:
                    break
                available -= 1
                bucket.take(1)
                self._left, self._header = whole - len(self._header), b""
            step = min(self._left, end - position)
            self._left -= step
            position += step
        return position
