"""Restoring the order of each sender's messages on one channel, where they may come over several paths, or twice."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import NamedTuple

from crosswire.core.sender_stream import HeldBytes, HeldMessage, SenderStream
from crosswire.core.silent_senders import SilentSenders


class MissedMessages(NamedTuple):
    """Messages of one sender that did not come.

    Attributes:
        origin: the sender.
        since: arrival of the last message before the missing ones, in seconds of the caller's clock.
    """

    origin: bytes
    since: float


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
        self._streams: dict[bytes, SenderStream] = {}
        self._holding: dict[bytes, SenderStream] = {}  # those of them that hold messages
        self._silent = silent
        self._reorders = reorders
        self._held_bytes = HeldBytes() if held_bytes is None else held_bytes

    def accept(self, origin: bytes, number: int, previous: int, now: float) -> bool:
        """Return whether a message can be handed on at once. If not, the caller must :meth:`hold` it."""
        stream = self._streams.get(origin)
        if stream is None:
            fresh = self._reorders and previous > 0
            self._streams[origin] = SenderStream(number, previous, now, self._held_bytes, fresh=fresh)
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
        stream.hold(HeldMessage(number, previous, now, body))
        self._holding[origin] = stream
        return True

    def ready(self, origin: bytes) -> Iterator[bytes]:
        """Yield the held messages of a sender, up to the next missing message."""
        stream = self._streams[origin]
        while (body := stream.next()) is not None:
            yield body
        self._settle(origin, stream)

    def _settle(self, origin: bytes, stream: SenderStream) -> None:
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
        """Forget a sender that has been silent for long enough, or with ``force`` one that is not silent.

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
