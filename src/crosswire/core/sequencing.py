"""Restoring the order of each sender's messages on one channel, where they may come over several paths, or twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
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
MAX_STRANGERS = 10_000
"""Senders that are no members and are remembered, each for each channel; beyond it, the oldest is forgotten."""
FORGET_AFTER = 10.0
"""Seconds of silence after which a sender that is no member is forgotten."""
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


class _SenderStream:
    """The messages of one sender on a channel.

    Anybody may publish a message with the sender's origin and any number. So a number that is too large must not keep
    the sender's own messages out: see :meth:`Sequencer.resume`.

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


class Sequencer:
    """Puts the messages of a channel in order.

    Each message carries the number of its sender's message before it, so a missing message is noticed at once. Later
    messages are held until the missing message comes over another path, or until :meth:`give_up`.

    Args:
        silent: forgets senders that are no members.
        reorders: whether messages of a sender overtake each other in everyday operation. Then the first message to come
            is not always the first that was sent. So it is held too, unless it says that no message was before it.
        held_bytes: of all channels of the node.
    """

    __slots__ = ("_held_bytes", "_holding", "_reorders", "_silent", "_streams")

    def __init__(self, silent: SilentSenders, *, reorders: bool = False, held_bytes: HeldBytes | None = None) -> None:
        self._streams: dict[bytes, _SenderStream] = {}
        self._holding: dict[bytes, _SenderStream] = {}  # those of them that hold messages
        self._silent = silent
        self._reorders = reorders
        self._held_bytes = HeldBytes() if held_bytes is None else held_bytes

    def accept(self, origin: bytes, number: int, previous: int, now: float) -> bool:
        """Return whether a message can be handed on at once. If not, the caller must :meth:`hold` it."""
        stream = self._streams.get(origin)
        if stream is None:
            fresh = self._reorders and previous > 0
            self._streams[origin] = _SenderStream(number, previous, now, self._held_bytes, fresh=fresh)
            self._silent.began(self, origin, now)
            return not fresh
        if previous <= stream.last < number and stream.held is None:
            stream.before = stream.last
            stream.last = number
            stream.heard = now
            return True
        return False

    def reject(self, origin: bytes, number: int) -> None:
        """Take back :meth:`accept`: the message can't be read, so its number does not count."""
        stream = self._streams.get(origin)
        if stream is None or stream.last != number:
            return
        if stream.first == number:
            self.forget(origin)
        else:
            stream.last = stream.before

    def first_number(self, origin: bytes) -> float:
        """Return the number of the message of a sender that came first; infinity if none was handed on or is held."""
        stream = self._streams.get(origin)
        return inf if stream is None else stream.first

    def numbers(self) -> dict[bytes, int]:
        """Return the number of each sender's last message."""
        return {origin: stream.last for origin, stream in self._streams.items()}

    def is_last(self, origin: bytes, number: int) -> bool:
        """Return whether a number is that of the sender's last message."""
        return self._streams[origin].last == number

    def forget_unused(self, origin: bytes) -> None:
        """Forget a sender none of whose messages was handed on or is held: the first one can't be read."""
        stream = self._streams[origin]
        if stream.fresh and stream.held is None:
            self.forget(origin)

    def resume(self, origin: bytes, number: int, previous: int, now: float, *, may_be_late: bool) -> float | None:
        """Check a message whose number is not larger than the last one: the larger number may have been forged.

        Such a message is a duplicate, or comes too late. But the sender itself goes on with it, if it lies between the
        last two messages and there was no gap between these, or if such messages follow each other for longer than a
        second. Then it has to be handed on.

        Args:
            origin: the sender.
            number: of the message.
            previous: of the message.
            now: seconds.
            may_be_late: whether messages that were given up may still come.

        Returns:
            The time since when messages of the sender may be missing, or None if the message is not to be handed on.
        """
        stream = self._streams[origin]
        last = stream.last
        if number >= last or stream.fresh or stream.held is not None:
            return None
        if stream.before < number and (stream.given_up != last or (previous == stream.before and not may_be_late)):
            since: float | None = stream.heard
        else:
            since = stream.has_gone_on(number, previous, now)
        if since is not None:
            stream.go_back(number, now)
        return since

    def follows_other(self, origin: bytes, number: int, previous: int, now: float) -> bool:
        """Return whether a message follows the one that was the last before :meth:`resume`; it can be handed on."""
        stream = self._streams[origin]
        if stream.held is not None or not previous or previous != stream.other:
            return False
        stream.switch(number, previous, now)
        return True

    def hold(self, origin: bytes, number: int, previous: int, body: bytes, now: float) -> bool:
        """Hold a message that was not accepted, until :meth:`ready` yields it.

        Returns:
            Whether the message is held; not if it is a duplicate, or was given up.
        """
        stream = self._streams[origin]
        if number <= stream.last:
            return False
        stream.hold(_HeldMessage(number, previous, now, body))
        self._holding[origin] = stream
        return True

    def ready(self, origin: bytes) -> Iterator[bytes]:
        """Yield the held messages of a sender, up to the next missing message."""
        stream = self._streams[origin]
        while (body := stream.next()) is not None:
            yield body
        self._settle(origin, stream)

    def _settle(self, origin: bytes, stream: _SenderStream) -> None:
        stream.settle()
        if stream.held is None:
            self._holding.pop(origin, None)

    def due_for(self, origin: bytes, hold_time: float, first_hold_time: float) -> float:
        """Return the time at which :meth:`give_up` must be called for one sender; infinity if it is forgotten."""
        stream = self._streams.get(origin)
        return inf if stream is None else stream.due(hold_time, first_hold_time)

    def due(self, hold_time: float, first_hold_time: float) -> float:
        """Return the time at which :meth:`give_up` must be called; infinity if no message is held."""
        return min((stream.due(hold_time, first_hold_time) for stream in self._holding.values()), default=inf)

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
        for origin, stream in list(self._holding.items()):
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
            self._settle(origin, stream)
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
        if (stream := self._streams.pop(origin, None)) is not None:
            self._holding.pop(origin, None)
            stream.drop_held()

    def clear(self) -> None:
        """Forget all senders, and drop the messages that are held."""
        for origin in list(self._streams):
            self.forget(origin)

    def forget_silent(self, origin: bytes, now: float, *, force: bool = False) -> float | None:
        """Forget a sender that has been silent for :data:`FORGET_AFTER`, or with ``force`` one that is not silent.

        Returns:
            The time at which to try it again, or None if the sender is forgotten.
        """
        stream = self._streams.get(origin)
        if stream is None:
            return None
        due = now if stream.held is not None else stream.heard
        forget_after = self._silent.forget_after
        if due + forget_after > now and (stream.held is not None or not force):
            return due + forget_after
        del self._streams[origin]
        return None


class SilentSenders:
    """Senders that are no members, such as an ``Emitter``: nobody says when they end.

    So the messages of such a sender are remembered only for :data:`FORGET_AFTER` after its last one on a channel. An
    emitter that has been silent for half as long says that no message was before its next one: it is handed on at once.

    Anybody can invent senders: beyond a limit the oldest is forgotten although it is not silent.

    Args:
        limit: number of senders that are remembered, each for each channel.
        forget_after: seconds of silence after which a sender is forgotten.

    Attributes:
        members: the origins of the members, which are remembered until they leave.
    """

    __slots__ = ("_limit", "_queue", "forget_after", "members")

    def __init__(self, limit: int = MAX_STRANGERS, forget_after: float = FORGET_AFTER) -> None:
        self.forget_after = forget_after
        self.members: set[bytes] = set()
        self._limit = limit
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
            full = len(queue) >= self._limit
            if not queue or not (full or queue[0][0] <= now):
                break
            _, checked, sender = queue.popleft()
            if sender not in self.members and (due := checked.forget_silent(sender, now, force=full)) is not None:
                queue.append((due, checked, sender))
        if origin not in self.members:
            queue.append((now + self.forget_after, sequencer, origin))
