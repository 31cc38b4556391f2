"""The messages of each sender on one channel, in their order and each once, though they come over several ways."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from math import inf
from typing import NamedTuple

MOST_HELD = 1000


class Missed(NamedTuple):
    """Messages of one sender that did not come.

    Attributes:
        origin: whose.
        since: when the last one before them came, in seconds of the clock given.
    """

    origin: bytes
    since: float


class _Held(NamedTuple):
    """A message that came too early; of two, the one with the smaller number comes first."""

    number: int
    previous: int
    arrived: float
    body: bytes


class _Stream:
    """One sender's messages on the channel.

    Attributes:
        last: number of the last message that was handed on; from now on only larger ones are.
        heard: when that one came.
        fresh: none was handed on yet, and which one comes first is not known.
        held: a heap of what came too early; None while there is nothing, which is the rule.
        since: when the first of them came.
        guess: number of the first that was handed on, and when it came, if it was only supposed to be the first.
    """

    __slots__ = ("_numbers", "fresh", "guess", "heard", "held", "last", "since")

    def __init__(self, last: int, heard: float, *, fresh: bool) -> None:
        self.last = last
        self.heard = heard
        self.fresh = fresh
        self.held: list[_Held] | None = None
        self.since = inf
        self.guess: tuple[int, float] | None = None
        self._numbers: set[int] = set()

    def hold(self, message: _Held) -> None:
        if self.held is None:
            self.held, self.since = [], message.arrived
        if message.number not in self._numbers:
            self._numbers.add(message.number)
            heappush(self.held, message)

    def next(self, *, skip: bool = False) -> bytes | None:
        """Take the first of what is held if nothing is missing before it, or if what is missing is to be skipped."""
        held = self.held
        if not held or (held[0].previous > self.last and not skip):
            return None
        message = heappop(held)
        self._numbers.discard(message.number)
        self.last, self.heard, self.fresh = message.number, message.arrived, False
        return message.body

    def settle(self) -> None:
        """Note since when what is held now is waiting for what is missing now."""
        self.since = min((message.arrived for message in self.held or ()), default=inf)
        if not self.held:
            self.held = None

    def due(self, patience: float, grace: float) -> float:
        """When it has waited for long enough."""
        if self.held is None:
            return inf
        return -inf if len(self.held) > MOST_HELD else self.since + (grace if self.fresh else patience)


class Sequencer:
    """Puts the messages of a channel in order.

    A message says which number its sender's message before it had, so it is known at once whether one is missing.
    Then those behind it are held until the missing one comes over another way, or until :meth:`give_up`.

    Args:
        scattered: whether a sender's messages take different ways by turns. Then the first one that comes need not be
            the first one that was sent, so it is held too, unless it says that there was none before it.
    """

    __slots__ = ("_scattered", "_streams")

    def __init__(self, *, scattered: bool = False) -> None:
        self._streams: dict[bytes, _Stream] = {}
        self._scattered = scattered

    def accept(self, origin: bytes, number: int, previous: int, now: float) -> bool:
        """Tell whether a message that came is the next one, and nothing waits behind it, which is the rule. If not,
        see :meth:`hold`."""
        stream = self._streams.get(origin)
        if stream is None:
            fresh = self._scattered and previous > 0
            self._streams[origin] = _Stream(0 if fresh else number, now, fresh=fresh)
            return not fresh
        if previous <= stream.last < number and stream.held is None:
            stream.last = number
            stream.heard = now
            return True
        return False

    def hold(self, origin: bytes, number: int, previous: int, body: bytes, now: float) -> bool:
        """Keep a message that was not accepted, unless it is a twin. If it returns true, see :meth:`ready`."""
        stream = self._streams[origin]
        if number <= stream.last:
            return False
        stream.hold(_Held(number, previous, now, body))
        return True

    def ready(self, origin: bytes) -> Iterator[bytes]:
        """Yield the held messages of a sender whose turn has come."""
        stream = self._streams[origin]
        while (body := stream.next()) is not None:
            yield body
        stream.settle()

    def due(self, patience: float, grace: float) -> float:
        """When :meth:`give_up` will have something to give up; infinity if nothing is held."""
        return min((stream.due(patience, grace) for stream in self._streams.values()), default=inf)

    def give_up(self, now: float, patience: float, grace: float) -> Iterator[tuple[Missed | None, list[bytes]]]:
        """Yield what has waited for long enough, or is too much: what it waits for does not come.

        Args:
            now: seconds.
            patience: seconds that messages wait.
            grace: seconds that the first messages of a sender wait; None is yielded with them, as it is only supposed
                that something came before them.
        """
        for origin, stream in list(self._streams.items()):
            if stream.due(patience, grace) > now:
                continue
            fresh = stream.fresh
            missed = None if fresh else Missed(origin, stream.heard)
            bodies, body = list[bytes](), stream.next(skip=True)
            if fresh:
                stream.guess = stream.last, stream.heard
            while body is not None:
                bodies.append(body)
                body = stream.next()
            stream.settle()
            yield missed, bodies

    def belied(self, origin: bytes, number: int) -> float | None:
        """Tell whether a message that was not held came before the one that was supposed to be a sender's first, and so
        is lost; if it did, return when that one came."""
        stream = self._streams[origin]
        if stream.guess is None or number >= stream.guess[0]:
            return None
        came = stream.guess[1]
        stream.guess = number, came  # its twin tells nothing new
        return came

    def forget(self, origin: bytes) -> None:
        """Forget a sender that is gone."""
        self._streams.pop(origin, None)


class Numbers:
    """Numbers what one sender publishes, and knows which number it used last on each channel.

    The last numbers of channels that have long not been used are forgotten: the receivers of the next message then
    can't tell whether one is missing before it, and take it.

    Args:
        remembered: channels remembered at least.
    """

    __slots__ = ("_count", "_old", "_recent", "_remembered")

    def __init__(self, remembered: int = 50_000) -> None:
        self._count = 0
        self._remembered = remembered
        self._recent: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}

    def next(self, channel: bytes) -> tuple[int, int]:
        """Return the number of the next message on a channel, and that of the one before it there, or 0."""
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
