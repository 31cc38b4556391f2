"""The messages of one sender on one channel: which was the last, and which came too early and are held."""

from __future__ import annotations

from heapq import heappop, heappush
from math import inf
from typing import NamedTuple

MAX_HELD = 1000
"""Maximum number of messages of one sender that are held on a channel; beyond it, missing messages are given up."""
MAX_HELD_BYTES = 16 * 1024 * 1024
"""Bytes of the messages that one node holds, overhead included; beyond it, missing messages are given up."""
HELD_OVERHEAD = 300
"""Bytes that a held message takes beside its body."""
MAX_LAG = 1.0
"""Seconds for which a sender may send messages with old numbers. After that, the larger number was not the sender's."""


class HeldMessage(NamedTuple):
    """A message that came too early. A heap sorts messages by number."""

    number: int
    previous: int
    arrived: float
    body: bytes


class HeldBytes:
    """Bytes of the messages that one node holds, in all its channels.

    Attributes:
        total: the sum.
    """

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total = 0


class _OldNumbers:
    """A chain of messages of a sender whose numbers are smaller than that of its last message.

    It is the second copy of messages, over a path that is behind, if it reaches the number that was the last one when
    the chain began. If it goes on for longer than :data:`MAX_LAG` without that, the sender itself sends it.

    Attributes:
        number: of the last message of the chain.
        target: the last number of the sender when the chain began.
        since: arrival of the first message of the chain.
    """

    __slots__ = ("number", "since", "target")

    def __init__(self, number: int, target: int, since: float) -> None:
        self.number = number
        self.target = target
        self.since = since

    def goes_on(self, number: int, previous: int, last: int, now: float) -> bool:
        """Note a message, and return whether the sender itself sends the chain that it belongs to."""
        if number >= self.target or (previous != self.number and (number > self.number or now - self.since > MAX_LAG)):
            self.number, self.target, self.since = number, last, now
            return False
        if previous != self.number:
            return False  # a copy of a message that belongs to the chain
        self.number = number
        return now - self.since > MAX_LAG


class SenderStream:
    """The messages of one sender on a channel.

    Anybody may publish a message with the sender's origin and any number. So a number that is too large must not keep
    the sender's own messages out: see :meth:`~crosswire.core.sequencing.Sequencer.resume`.

    Attributes:
        first: the number of the message that came first.
        last: the number of the last message that was handed on; messages with smaller numbers are not handed on.
        before: the number of the message before ``last``.
        given_up: the number of the last message that was handed on though messages before it were missing.
        other: the last number from before :meth:`go_back`: messages that follow it are handed on too.
        heard: arrival of the message ``last``.
        fresh: whether no message was handed on yet, and it is not known which message is the sender's first.
        held: a heap of the messages that came too early; None while there are none, which is the usual case.
        since: arrival of the first message in ``held``.
        guess: number and arrival of the message that was handed on as the sender's first, if it was not certain that no
            others came before it; else None.
    """

    __slots__ = (
        "_held_bytes",
        "_numbers",
        "_old",
        "before",
        "first",
        "fresh",
        "given_up",
        "guess",
        "heard",
        "held",
        "last",
        "other",
        "since",
    )

    def __init__(self, first: int, before: int, heard: float, held_bytes: HeldBytes, *, fresh: bool) -> None:
        self.first = first
        self.last = 0 if fresh else first
        self.before = 0 if fresh else before
        self.given_up = self.other = 0
        self.heard = heard
        self.fresh = fresh
        self._held_bytes = held_bytes
        self._old: _OldNumbers | None = None
        self.held: list[HeldMessage] | None = None
        self.since = inf
        self.guess: tuple[int, float] | None = None
        self._numbers: set[int] = set()

    def hold(self, message: HeldMessage) -> None:
        """Hold a message, unless it is held already."""
        if self.held is None:
            self.held, self.since = [], message.arrived
        if message.number not in self._numbers:
            self._numbers.add(message.number)
            heappush(self.held, message)
            self._held_bytes.total += len(message.body) + HELD_OVERHEAD

    def next(self, *, skip: bool = False) -> bytes | None:
        """Take the first held message if no message is missing before it, or if ``skip`` is set; else return None."""
        held = self.held
        if not held or (held[0].previous > self.last and not skip):
            return None
        message = heappop(held)
        self._numbers.discard(message.number)
        self._held_bytes.total -= len(message.body) + HELD_OVERHEAD
        self.before, self.last, self.heard, self.fresh = self.last, message.number, message.arrived, False
        if skip:
            self.given_up = message.number
        return message.body

    def go_back(self, number: int, now: float) -> None:
        """Go on from a message whose number is smaller than the last one."""
        self.other, self.before, self.last, self.heard, self._old = self.last, number, number, now, None

    def switch(self, number: int, previous: int, now: float) -> None:
        """Go on from the message that follows ``other``."""
        self.other, self.before, self.last, self.heard = self.last, previous, number, now

    def has_gone_on(self, number: int, previous: int, now: float) -> float | None:
        """Note a message with an old number. Return since when the sender sends such messages itself, or None."""
        if (old := self._old) is None:
            self._old = _OldNumbers(number, self.last, now)
            return None
        return old.since if old.goes_on(number, previous, self.last, now) else None

    def drop_held(self) -> None:
        """Drop the messages that are held."""
        self._held_bytes.total -= sum(len(each.body) + HELD_OVERHEAD for each in self.held or ())
        self.held, self.since = None, inf
        self._numbers.clear()

    def settle(self) -> None:
        """Update ``since`` and ``held`` after some of the held messages were taken."""
        self.since = min((message.arrived for message in self.held or ()), default=inf)
        if not self.held:
            self.held = None

    def due(self, hold_time: float, first_hold_time: float) -> float:
        """Return the time at which the missing messages are given up; minus infinity if too many are held."""
        if self.held is None:
            return inf
        if len(self.held) > MAX_HELD or self._held_bytes.total > MAX_HELD_BYTES:
            return -inf
        return self.since + (first_hold_time if self.fresh else hold_time)
