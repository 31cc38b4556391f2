"""Restoring the order of each sender's messages on one channel, where they may come over several paths, or twice."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from heapq import heappop, heappush
from math import inf
from typing import NamedTuple

MAX_HELD = 1000
"""Maximum number of messages of one sender that are held on a channel; beyond it, missing messages are given up."""
FORGET_AFTER = 10.0
"""Seconds of silence after which a sender that is no member is forgotten."""
LINKED_FOR = FORGET_AFTER / 2
"""Seconds for which the next message of an emitter says which one was before it."""
_CHECKED_AT_ONCE = 4
"""Streams that are checked for silence when a new one begins."""


class MissedMessages(NamedTuple):
    """Messages of one sender that did not come.

    Attributes:
        origin: the sender.
        since: arrival of the last message before the missing ones, in seconds of the caller's clock.
    """

    origin: bytes
    since: float


class _HeldMessage(NamedTuple):
    """A message that came too early. A heap sorts messages by number."""

    number: int
    previous: int
    arrived: float
    body: bytes


class _SenderStream:
    """The messages of one sender on a channel.

    Attributes:
        last: the number of the last message that was handed on; messages with smaller numbers are not handed on.
        heard: arrival of the message ``last``.
        fresh: whether no message was handed on yet, and it is not known which message is the sender's first.
        held: a heap of the messages that came too early; None while there are none, which is the usual case.
        since: arrival of the first message in ``held``.
        guess: number and arrival of the message that was handed on as the sender's first, if it was not certain that no
            others came before it; else None.
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
        """Take the first held message if no message is missing before it, or if ``skip`` is set; else return None."""
        held = self.held
        if not held or (held[0].previous > self.last and not skip):
            return None
        message = heappop(held)
        self._numbers.discard(message.number)
        self.last, self.heard, self.fresh = message.number, message.arrived, False
        return message.body

    def settle(self) -> None:
        """Update ``since`` and ``held`` after some of the held messages were taken."""
        self.since = min((message.arrived for message in self.held or ()), default=inf)
        if not self.held:
            self.held = None

    def due(self, hold_time: float, first_hold_time: float) -> float:
        """Return the time at which the missing messages are given up; minus infinity if too many are held."""
        if self.held is None:
            return inf
        return -inf if len(self.held) > MAX_HELD else self.since + (first_hold_time if self.fresh else hold_time)


class Sequencer:
    """Puts the messages of a channel in order.

    Each message carries the number of its sender's message before it, so a missing message is noticed at once. Later
    messages are held until the missing message comes over another path, or until :meth:`give_up`.

    Args:
        silent: forgets senders that are no members.
        reorders: whether messages of a sender overtake each other in everyday operation. Then the first message to come
            is not always the first that was sent. So it is held too, unless it says that no message was before it.
    """

    __slots__ = ("_reorders", "_silent", "_streams")

    def __init__(self, silent: SilentSenders, *, reorders: bool = False) -> None:
        self._streams: dict[bytes, _SenderStream] = {}
        self._silent = silent
        self._reorders = reorders

    def accept(self, origin: bytes, number: int, previous: int, now: float) -> bool:
        """Return whether a message can be handed on at once. If not, the caller must :meth:`hold` it."""
        stream = self._streams.get(origin)
        if stream is None:
            fresh = self._reorders and previous > 0
            self._streams[origin] = _SenderStream(0 if fresh else number, now, fresh=fresh)
            self._silent.began(self, origin, now)
            return not fresh
        if previous <= stream.last < number and stream.held is None:
            stream.last = number
            stream.heard = now
            return True
        return False

    def hold(self, origin: bytes, number: int, previous: int, body: bytes, now: float) -> bool:
        """Hold a message that was not accepted, until :meth:`ready` yields it.

        Returns:
            Whether the message is held; not if it is a duplicate, or was given up.
        """
        stream = self._streams[origin]
        if number <= stream.last:
            return False
        stream.hold(_HeldMessage(number, previous, now, body))
        return True

    def ready(self, origin: bytes) -> Iterator[bytes]:
        """Yield the held messages of a sender, up to the next missing message."""
        stream = self._streams[origin]
        while (body := stream.next()) is not None:
            yield body
        stream.settle()

    def due(self, hold_time: float, first_hold_time: float) -> float:
        """Return the time at which :meth:`give_up` must be called; infinity if no message is held."""
        return min((stream.due(hold_time, first_hold_time) for stream in self._streams.values()), default=inf)

    def give_up(
        self, now: float, hold_time: float, first_hold_time: float
    ) -> Iterator[tuple[MissedMessages | None, list[bytes]]]:
        """Give up missing messages; yield these, and the held messages that waited for them.

        Messages are given up when later ones were held for long enough, or too many are held. For the first messages of
        a sender, None is yielded in place of the missing ones: perhaps there were no others.

        Args:
            now: seconds.
            hold_time: seconds for which messages are held.
            first_hold_time: seconds for which the first messages of a sender are held.
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

    def correct_first(self, origin: bytes, number: int) -> float | None:
        """Check whether a message that came too late was sent before the message taken for the sender's first.

        Returns:
            If so, the arrival of the message that was taken for the first: the late message is lost. Else None.
        """
        stream = self._streams[origin]
        if stream.guess is None or number >= stream.guess[0]:
            return None
        came = stream.guess[1]
        stream.guess = number, came  # a duplicate of this message must not be reported again
        return came

    def forget(self, origin: bytes) -> None:
        """Forget a sender that is gone."""
        self._streams.pop(origin, None)

    def forget_silent(self, origin: bytes, now: float) -> float | None:
        """Forget a sender that has been silent for :data:`FORGET_AFTER`.

        Returns:
            The time at which to try it again, or None if the sender is forgotten.
        """
        stream = self._streams.get(origin)
        if stream is None:
            return None
        due = now if stream.held is not None else stream.heard
        if due + FORGET_AFTER > now:
            return due + FORGET_AFTER
        del self._streams[origin]
        return None


class SilentSenders:
    """Senders that are no members, such as an ``Emitter``: nobody says when they end.

    So the messages of such a sender are remembered only for :data:`FORGET_AFTER` after its last one on a channel. An
    emitter that has been silent for half as long says that no message was before its next one: it is handed on at once.

    Attributes:
        members: the origins of the members, which are remembered until they leave.
    """

    __slots__ = ("_queue", "members")

    def __init__(self) -> None:
        self.members: set[bytes] = set()
        self._queue: deque[tuple[float, Sequencer, bytes]] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def began(self, sequencer: Sequencer, origin: bytes, now: float) -> None:
        """Note the first message of a sender on a channel, and forget some of the senders that are silent.

        More streams are checked than begin. So there are never many more than senders that were heard lately, and no
        timer is needed.
        """
        queue = self._queue
        for _ in range(_CHECKED_AT_ONCE):
            if not queue or queue[0][0] > now:
                break
            _, checked, sender = queue.popleft()
            if sender not in self.members and (due := checked.forget_silent(sender, now)) is not None:
                queue.append((due, checked, sender))
        if origin not in self.members:
            queue.append((now + FORGET_AFTER, sequencer, origin))


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
