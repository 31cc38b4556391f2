"""Numbering the messages of one sender: each says its number, and that of the message before it on the same channel."""

from __future__ import annotations

from collections import OrderedDict

from crosswire.core.silent_senders import FORGET_AFTER

LINKED_FOR = FORGET_AFTER / 2
"""Seconds for which the next message of an emitter says which one was before it."""
MAX_NAMES = 1024 * 1024
"""Bytes of the names of channels whose last numbers a sender remembers, twice as many at most."""


class MessageNumbers:
    """Numbers the messages of one sender, and remembers the last number on each channel.

    The last numbers of channels that were not used for long are forgotten. The receivers of the next message on such a
    channel can't know whether a message before it is missing, and hand it on.

    Args:
        remembered: minimum number of channels that are remembered, if their names are short; twice as many at most.
    """

    __slots__ = ("_count", "_names", "_old", "_recent", "_remembered")

    def __init__(self, remembered: int = 10_000) -> None:
        self._names = 0  # bytes of the names of the recent channels
        self._count = 0
        self._remembered = remembered
        self._recent: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}

    @property
    def count(self) -> int:
        """The number of the last message."""
        return self._count

    def next(self, channel: bytes) -> tuple[int, int]:
        """Return the number of the next message on a channel, and that of the message before it, or 0."""
        self._count = number = self._count + 1
        recent = self._recent
        if previous := recent.get(channel, 0):
            recent[channel] = number
            return number, previous
        previous = self._old.get(channel, 0)
        recent[channel] = number
        self._names += len(channel)
        if len(recent) > self._remembered or self._names > MAX_NAMES:
            self._old, self._recent, self._names = recent, {}, 0
        return number, previous

    def take_back(self, channel: bytes, previous: int) -> None:
        """Forget the last number of a channel, as its message was not published.

        Args:
            channel: name of the channel.
            previous: the number before it.
        """
        self._recent[channel] = previous


class EmitterNumbers:
    """Numbers the messages of an emitter, which waits until each is acknowledged.

    A message says that no message was before it if the last one on its channel was sent long ago: it has arrived, or is
    lost. So receivers need to remember an emitter only for a while; see :class:`SilentSenders`.
    """

    __slots__ = ("_count", "_sent")

    def __init__(self) -> None:
        self._count = 0
        self._sent: OrderedDict[bytes, tuple[int, float]] = OrderedDict()

    def next(self, channel: bytes, now: float) -> tuple[int, int]:
        """Return the number of the next message on a channel, and that of the message before it, or 0."""
        self._count = number = self._count + 1
        sent = self._sent
        before, at = sent.pop(channel, (0, now))
        sent[channel] = number, now
        while next(iter(sent.values()))[1] < now - LINKED_FOR:
            sent.popitem(last=False)
        return number, 0 if at < now - LINKED_FOR else before

    def take_back(self, channel: bytes) -> None:
        """Forget the last message on a channel, as its sender is told that it was not published."""
        self._sent.pop(channel, None)
