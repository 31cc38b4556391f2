"""The order of the messages of each sender on one channel, though they come over several paths, or twice."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from math import inf
from typing import NamedTuple

MAX_HELD = 1000
"""Messages of one sender that are held on a channel; with one more, the missing ones are given up."""


class MissedMessages(NamedTuple):
    """Messages of one sender that did not come.

    Attributes:
        origin: the sender.
        since: when the last one before them came, in seconds of the clock given.
    """

    origin: bytes
    since: float


class _HeldMessage(NamedTuple):
    """A message that came too early. Of two, the one with the smaller number comes first."""

    number: int
    previous: int
    arrived: float
    body: bytes


class _SenderStream:
    """The messages of one sender on a channel.

    Attributes:
        last: the number of the last message that was handed on; from now on only larger ones are.
        heard: when that message came.
        fresh: whether none was handed on yet, and it is not known which one is the first.
        held: a heap of the messages that came too early; None while there are none, which is the rule.
        since: when the first of them came.
        guess: the number of the first message that was handed on, and when it came, if it was only supposed to be the
            first.
    """

    __slots__ = ("_numbers", "fresh", "guess", "heard", "held", "last", "since")

    def __init__(self, last: int, heard: float, *, fresh: bool) -> None:
        self.last = last
        self.heard = heard
        self.fresh = fresh
        self.held: list[_HeldMessage] | None = None
        self.since = inf
        self.guess: tuple[int, float] | None = None
        self._numbers: set[int] = set()

    def hold(self, message: _HeldMessage) -> None:
        """Hold a message, unless it is held already."""
        if self.held is None:
            self.held, self.since = [], message.arrived
        if message.number not in self._numbers:
            self._numbers.add(message.number)
            heappush(self.held, message)

    def next(self, *, skip: bool = False) -> bytes | None:
        """Take the first held message if none is missing before it, or if ``skip`` is set."""
        held = self.held
        if not held or (held[0].previous > self.last and not skip):
            return None
        message = heappop(held)
        self._numbers.discard(message.number)
        self.last, self.heard, self.fresh = message.number, message.arrived, False
        return message.body

    def settle(self) -> None:
        """Note since when the messages that are held now are held."""
        self.since = min((message.arrived for message in self.held or ()), default=inf)
        if not self.held:
            self.held = None

    def due(self, hold_time: float, first_hold_time: float) -> float:
        """Return when the held messages are handed on at the latest; minus infinity if they are too many."""
        if self.held is None:
            return inf
        return -inf if len(self.held) > MAX_HELD else self.since + (first_hold_time if self.fresh else hold_time)


class Sequencer:
    """Puts the messages of a channel in order.

    A message carries the number of its sender's message before it, so it is known at once whether one is missing. Then
    the later ones are held until the missing one comes over another path, or until :meth:`give_up`.

    Args:
        reorders: whether messages of a sender overtake each other in everyday operation. Then the first one that comes
            might not be the first one that was sent, so it is held too, unless it says that there was none before it.
    """

    __slots__ = ("_reorders", "_streams")

    def __init__(self, *, reorders: bool = False) -> None:
        self._streams: dict[bytes, _SenderStream] = {}
        self._reorders = reorders

    def accept(self, origin: bytes, number: int, previous: int, now: float) -> bool:
        """Return whether a message is the next one, and none is held, as is the rule; else :meth:`hold` it."""
        stream = self._streams.get(origin)
        if stream is None:
            fresh = self._reorders and previous > 0
            self._streams[origin] = _SenderStream(0 if fresh else number, now, fresh=fresh)
            return not fresh
        if previous <= stream.last < number and stream.held is None:
            stream.last = number
            stream.heard = now
            return True
        return False

    def hold(self, origin: bytes, number: int, previous: int, body: bytes, now: float) -> bool:
        """Hold a message that was not accepted, and return true: see :meth:`ready`. Return false for a duplicate."""
        stream = self._streams[origin]
        if number <= stream.last:
            return False
        stream.hold(_HeldMessage(number, previous, now, body))
        return True

    def ready(self, origin: bytes) -> Iterator[bytes]:
        """Yield the held messages of a sender before which none is missing any more."""
        stream = self._streams[origin]
        while (body := stream.next()) is not None:
            yield body
        stream.settle()

    def due(self, hold_time: float, first_hold_time: float) -> float:
        """Return when :meth:`give_up` will have something to do; infinity if no message is held."""
        return min((stream.due(hold_time, first_hold_time) for stream in self._streams.values()), default=inf)

    def give_up(
        self, now: float, hold_time: float, first_hold_time: float
    ) -> Iterator[tuple[MissedMessages | None, list[bytes]]]:
        """Yield messages that were held for long enough, or are too many: those missing before them do not come.

        Args:
            now: seconds.
            hold_time: seconds for which messages are held.
            first_hold_time: seconds for which the first messages of a sender are held. None is yielded with them, as it
                is only supposed that others came before them.
        """
        for origin, stream in list(self._streams.items()):
            if stream.due(hold_time, first_hold_time) > now:
                continue
            fresh = stream.fresh
            missed = None if fresh else MissedMessages(origin, stream.heard)
            bodies, body = list[bytes](), stream.next(skip=True)
            if fresh:
                stream.guess = stream.last, stream.heard
            while body is not None:
                bodies.append(body)
                body = stream.next()
            stream.settle()
            yield missed, bodies

    def disproved(self, origin: bytes, number: int) -> float | None:
        """Return when the message came that was supposed to be a sender's first, if a message that was not held now
        proves that it was not: that message is lost. Else return None."""
        stream = self._streams[origin]
        if stream.guess is None or number >= stream.guess[0]:
            return None
        came = stream.guess[1]
        stream.guess = number, came  # its duplicate must not be reported again
        return came

    def forget(self, origin: bytes) -> None:
        """Forget a sender that is gone."""
        self._streams.pop(origin, None)


class MessageNumbers:
    """Numbers the messages of one sender, and remembers the last number on each channel.

    The last numbers of channels that were not used for long are forgotten. Then the receivers of the next message can't
    know whether one is missing before it, and take it.

    Args:
        remembered: the number of channels that are remembered at least.
    """

    __slots__ = ("_count", "_old", "_recent", "_remembered")

    def __init__(self, remembered: int = 50_000) -> None:
        self._count = 0
        self._remembered = remembered
        self._recent: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}

    def next(self, channel: bytes) -> tuple[int, int]:
        """Return the number of the next message on a channel, and that of the message before it, or 0."""
        self._count = number = self._count + 1
        recent = self._recent
        previous = recent.get(channel) or self._old.get(channel, 0)
        recent[channel] = number
        if len(recent) > self._remembered:
            self._old, self._recent = recent, {}
        return number, previous

    def take_back(self, channel: bytes, previous: int) -> None:
        """Forget the last number of a channel, whose message was not published; ``previous`` was the one before it."""
        self._recent[channel] = previous
