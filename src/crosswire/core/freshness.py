"""Telling new messages from replayed ones, on channels where nothing is known of their sender yet."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

MAX_AGE = 30.0
"""Seconds by which the clock of a sender that is no member may be off, and its first message on a channel old."""
MAX_DRIFT = 0.02
"""Seconds by which the clock of a member is known too well to be true: clocks do not run equally fast."""
_DRIFT_RATE = 0.0005
"""Seconds that a clock may lose in a second."""
_MAX_CLOCKS = 10_000
"""Senders whose clocks are remembered."""
_MAX_GONE = 1000
"""Members that have gone and whose messages are refused."""
_MAX_CLOSED = 10_000
"""Channels that were closed and whose numbers are remembered."""
REMEMBERED_FOR = 2 * MAX_AGE
"""Seconds for which numbers and members are remembered that are gone: after that, their messages are too old."""

Numbers = dict[bytes, int]
"""The number of each sender's last message."""


class Freshness:
    """Judges the first message of each sender on each channel; the numbers of later ones tell whether they are new.

    It has to be sent after this node began to listen on the channel. When that was on a member's clock is known: that
    clock is compared with each of its messages, and the one counts that was least on its way.
    Whoever is no member, such as an emitter, must have the right time.
    """

    __slots__ = ("_clocks", "_closed", "_gone", "_members")

    def __init__(self) -> None:
        self._members: dict[bytes, float] = {}  # and when what they sent counts from
        self._clocks: OrderedDict[bytes, tuple[float, float]] = OrderedDict()  # sender's clock - own, and when heard
        self._gone: OrderedDict[bytes, float] = OrderedDict()
        self._closed: OrderedDict[bytes, tuple[float, Numbers]] = OrderedDict()

    def heard(self, origin: bytes, sent: float, now: float) -> None:
        """Compare the clock of a sender, whose message is signed, with this node's monotonic clock."""
        ahead = sent - now
        known = self._clocks.get(origin)
        if known is not None:
            ahead = max(ahead, known[0] - _DRIFT_RATE * (now - known[1]))
            self._clocks.move_to_end(origin)
        elif len(self._clocks) >= _MAX_CLOCKS:
            self._clocks.popitem(last=False)
        self._clocks[origin] = ahead, now

    def is_new(self, origin: bytes, sent: float, opened: float, now: float, wall_time: float) -> bool:
        """Return whether the first message of a sender on a channel was sent since this node listens there.

        Args:
            origin: the sender.
            sent: seconds of its clock.
            opened: when this node began to listen, in seconds of the monotonic clock.
            now: seconds of the monotonic clock.
            wall_time: seconds of this node's real time.
        """
        if origin in self._gone:
            return False
        if (since := self._members.get(origin)) is not None and (known := self._clocks.get(origin)) is not None:
            return sent >= max(opened, since) + known[0] - MAX_DRIFT
        return max(wall_time - (now - opened), wall_time - MAX_AGE) <= sent <= wall_time + MAX_AGE

    def came(self, origin: bytes, now: float) -> None:
        """Note a member that has shown that it is alive.

        If it was a member before, its numbers were forgotten when it went: what it sent before that is old.
        """
        went = self._gone.pop(origin, now - REMEMBERED_FOR)
        self._members.setdefault(origin, went)

    def went(self, origin: bytes, now: float) -> None:
        """Refuse the messages of a member that is gone, until it is back."""
        self._members.pop(origin, None)
        self._gone[origin] = now
        self._clocks.pop(origin, None)
        _prune(self._gone, _MAX_GONE, lambda when: now - when > REMEMBERED_FOR)

    def closed(self, channel: bytes, numbers: Numbers, now: float) -> None:
        """Remember the last numbers on a channel that this node leaves."""
        if numbers:
            self._closed[channel] = now, numbers
            self._closed.move_to_end(channel)
        _prune(self._closed, _MAX_CLOSED, lambda entry: now - entry[0] > REMEMBERED_FOR)

    def reopened(self, channel: bytes, now: float) -> Numbers:
        """Return the last numbers on a channel, if this node left it not long ago."""
        when, numbers = self._closed.pop(channel, (-REMEMBERED_FOR, {}))
        return numbers if now - when <= REMEMBERED_FOR else {}


def _prune(entries: OrderedDict[bytes, Any], limit: int, is_over: Callable[[Any], bool]) -> None:
    """Remove the oldest entries that are over, or too many."""
    while entries and (len(entries) > limit or is_over(next(iter(entries.values())))):
        entries.popitem(last=False)
