"""Pure functions that find lost, duplicate, reordered and late messages, and losses without a gap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import NamedTuple

MARGIN = 0.25
"""Seconds by which clocks that are read in different processes, one after the other, may disagree."""


class Gap(NamedTuple):
    """A node was told that messages may be missing, in seconds of real time."""

    since: float
    until: float


class Missing(NamedTuple):
    """Consecutive messages of a stream that a client never got.

    Attributes:
        first: number of the first.
        size: how many they are.
        since: when the first was published.
        last: when the last was published.
        until: when the client got the next message of the stream; infinity if it got none.
    """

    first: int
    size: int
    since: float
    last: float
    until: float


class Finding(NamedTuple):
    """Result of the check of a stream at a client.

    Attributes:
        missing: what it did not get.
        duplicated: messages that came again.
        reordered: messages that came after a later one.
        unknown: messages that nobody published.
    """

    missing: list[Missing]
    duplicated: int
    reordered: int
    unknown: int

    @property
    def lost(self) -> int:
        """Number of missing messages."""
        return sum(each.size for each in self.missing)


class Delays(NamedTuple):
    """Statistics of the delays of messages.

    Attributes:
        longest: seconds from a message's publication to its arrival.
        last_late: when the last one was published that took too long; minus infinity if none did.
    """

    longest: float
    last_late: float


def examine(published: Sequence[float], numbers: Sequence[int], times: Sequence[float]) -> Finding:
    """Compare what was published on a stream with what one client got of it.

    Args:
        published: when each message was published; they are numbered from 0.
        numbers: of the messages that came, in their order.
        times: when they came.
    """
    came: dict[int, float] = {}
    duplicated = reordered = unknown = 0
    latest = -1
    for number, at in zip(numbers, times, strict=True):
        if not 0 <= number < len(published):
            unknown += 1
        elif number in came:
            duplicated += 1
        else:
            came[number] = at
            reordered += number < latest
            latest = max(latest, number)
    missing = [] if len(came) == len(published) else list(_runs(published, came))
    return Finding(missing, duplicated, reordered, unknown)


def is_signalled(missing: Missing, gaps: Iterable[Gap], margin: float = MARGIN) -> bool:
    """Whether a client's node was told of missing messages.

    A gap covers them if it overlaps the time from when the first was published to when the next one came. This is the
    most that can be asked for: nobody knows of a message that did not come when it would have.
    """
    return any(gap.since - margin <= missing.until and missing.since <= gap.until + margin for gap in gaps)


def is_tail(missing: Missing, end: float, margin: float) -> bool:
    """Whether these are the last messages of a stream, published only just before its node was killed at ``end``."""
    return missing.until == inf and missing.since >= end - margin


def delays(published: Sequence[float], numbers: Sequence[int], times: Sequence[float], late: float) -> Delays:
    """Return the statistics of the delays of messages.

    Args:
        published: as for :func:`examine`, as are the next two.
        numbers: of the messages that came.
        times: when they came.
        late: seconds that are too long.
    """
    longest, last = 0.0, -inf
    for number, at in zip(numbers, times, strict=True):
        if number < len(published):
            took = at - published[number]
            longest = max(longest, took)
            last = max(last, published[number] if took > late else -inf)
    return Delays(longest, last)


def _runs(published: Sequence[float], came: dict[int, float]) -> Iterable[Missing]:
    first: int | None = None
    for number in range(len(published) + 1):
        missing = number < len(published) and number not in came
        if missing and first is None:
            first = number
        elif not missing and first is not None:
            yield Missing(first, number - first, published[first], published[number - 1], came.get(number, inf))
            first = None
