"""The receivers of one node's channels: they drop duplicates, restore the order, and notice missing messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from math import inf
from typing import Protocol

from crosswire.cluster.interface import Receive
from crosswire.core.envelopes import HEADER_SIZE, unpack_header
from crosswire.core.log_records import RECORD_VERSION
from crosswire.core.sequencing import HeldBytes, Sequencer, SilentSenders
from crosswire.errors import InvalidMessage
from crosswire.runtime import environment
from crosswire.runtime.log_records import get_logger

FIRST_HOLD_TIME = 0.25
"""Seconds for which the first messages of a sender are held if others may have been sent before them. On busy machines,
one Redis may be ahead of another by that much; the receivers hardly notice the delay."""

STALL_TIME = 0.2
"""Seconds by which a timer must be late to show that the process stood still. Then the sockets are read first."""

ReceiveBody = Callable[[bytes], bool | None]
"""Takes the body of a message; returns False if it can't be read, and then its number does not count."""
IsReadable = Callable[[bytes], bool]
"""Checks whether the body of a message can be read."""

ReceiveUnproven = Callable[[bytes], bool]
"""Takes the body of a message that is signed, but may be a replay; returns False if it is of no use."""

_FAILED = "the receiver of a message failed"

logger = get_logger("crosswire.cluster")


class Paths(Protocol):
    """The paths over which messages come; see :class:`~crosswire.cluster.interface.Port`."""

    @property
    def reorders(self) -> bool:
        """Whether messages of one sender overtake each other in everyday operation."""
        ...

    @property
    def hold_time(self) -> float:
        """Seconds in which a missing message may still come."""
        ...


class ReceiverEvents(Protocol):
    """Callbacks for malformed and missing messages."""

    def message_unreadable(self, message: bytes) -> None:
        """Take note of a message without a valid header."""

    def record_came(self, channel: bytes, message: bytes) -> None:
        """Take a message of a log that came on a channel which no log of a room is known to use."""

    def messages_missed(self, channels: Collection[bytes], since: float) -> None:
        """Take note that messages did not come, though later ones did.

        Args:
            channels: on which they were published.
            since: time of the monotonic clock, in seconds, after which they were sent: the arrival of the last message
                before them, or if there was none, a while before the first message.
        """


class _HoldEvents(Protocol):
    """Callbacks of a receiver that can't hand on a message at once."""

    def message_unreadable(self, message: bytes) -> None:
        """Take note of a message without a valid header."""

    def record_came(self, channel: bytes, message: bytes) -> None:
        """Take a message of a log that came on a channel which no log of a room is known to use."""

    def limit_hold_time(self, receiver: OrderedReceiver, origin: bytes) -> None:
        """Set a limit to the time for which a receiver holds messages of a sender."""

    def resumed(self, channel: bytes, since: float) -> None:
        """Report messages as missed, as a sender goes on from a message with an old number.

        Args:
            channel: on which it came.
            since: time after which messages may be missing.
        """

    def came_late(self, channel: bytes, first: float) -> None:
        """Report a message as missed that came too late: later messages had been taken for the sender's first.

        Args:
            channel: on which it came.
            first: arrival of the message that was taken for the first.
        """


class Signing(Protocol):
    """Checks the signatures of messages, and whether they are new.

    Attributes:
        forget_after: seconds of silence after which a sender that is no member may be forgotten.
    """

    forget_after: float

    def receiver(self, ordered: OrderedReceiver, sequencer: Sequencer, unproven: ReceiveUnproven | None) -> Receive:
        """Return a function that takes the messages of a channel as they come."""
        ...

    def closed(self, ordered: OrderedReceiver) -> None:
        """Take note that a channel is closed."""

    def came(self, origin: bytes) -> None:
        """Take note of a member."""

    def went(self, origin: bytes) -> None:
        """Take note that a member is gone."""


class OrderedReceiver:
    """Takes the messages of one channel, and hands each on once, in order.

    Args:
        channel: its name.
        own: the origin of this node, whose own messages are ignored.
        receive: takes the bodies of the messages.
        is_readable: checks the body of a message that does not follow the last one, before its number counts.
        sequencer: puts them in order.
        paths: over which messages come.
        events: called when a message can't be handed on at once.
        signed: whether nobody else can send messages of an origin.
    """

    __slots__ = ("_events", "_is_readable", "_own", "_paths", "_receive", "_sequencer", "_signed", "channel")

    def __init__(
        self,
        channel: bytes,
        own: bytes,
        receive: ReceiveBody,
        is_readable: IsReadable,
        sequencer: Sequencer,
        paths: Paths,
        events: _HoldEvents,
        *,
        signed: bool = False,
    ) -> None:
        self._signed = signed
        self.channel = channel
        self._own = own
        self._receive = receive
        self._is_readable = is_readable
        self._sequencer = sequencer
        self._paths = paths
        self._events = events

    def take(self, message: bytes) -> None:
        """Take a message with its header."""
        try:
            origin, number, previous = unpack_header(message)
        except InvalidMessage:
            if is_record(message):
                self._events.record_came(self.channel, message)
            else:
                self._events.message_unreadable(message)
            return
        if origin == self._own:
            return
        now = environment.monotonic()
        if self._sequencer.accept(origin, number, previous, now):
            try:
                if self._receive(message[HEADER_SIZE:]) is False:
                    self._sequencer.reject(origin, number)
            except Exception:
                logger.exception(_FAILED)
            return
        self._take_out_of_order(origin, number, previous, message, now)

    def place(self, origin: bytes, number: int, previous: int, message: bytes, now: float) -> None:
        """Take a message whose header was read; it must be as long as that of a message that is not signed."""
        if not self._sequencer.accept(origin, number, previous, now):
            self._take_out_of_order(origin, number, previous, message, now)
            return
        try:
            if self._receive(message[HEADER_SIZE:]) is False:
                self._sequencer.reject(origin, number)
        except Exception:
            logger.exception(_FAILED)

    def _take_out_of_order(self, origin: bytes, number: int, previous: int, message: bytes, now: float) -> None:
        """Take a message that does not follow the last one of its sender."""
        sequencer = self._sequencer
        if sequencer.is_last(origin, number):
            return  # the copy over another path
        if not self._is_readable(message[HEADER_SIZE:]):
            sequencer.forget_unused(origin)
        elif sequencer.follows_other(origin, number, previous, now):
            self._hand_on(message)
        elif sequencer.hold(origin, number, previous, message, now):
            for ready in sequencer.ready(origin):
                self._hand_on(ready)
            self._events.limit_hold_time(self, origin)
        elif (first := sequencer.correct_first(origin, number)) is not None:
            self._events.came_late(self.channel, first)
        elif not self._signed:  # nobody can forge numbers of signed messages
            may_be_late = self._paths.hold_time > 0
            since = sequencer.resume(origin, number, previous, now, may_be_late=may_be_late)
            if since is not None:
                self._events.resumed(self.channel, since)
                self._hand_on(message)

    def replace(self, receive: ReceiveBody, is_readable: IsReadable) -> None:
        """Hand messages on to another receiver from now on."""
        self._receive = receive
        self._is_readable = is_readable

    @property
    def numbers(self) -> dict[bytes, int]:
        """The number of each sender's last message."""
        return self._sequencer.numbers()

    def close(self) -> None:
        """Drop the messages that are held, and ignore all others."""
        self._receive = _ignore
        self._sequencer.clear()

    def forget(self, origin: bytes) -> None:
        """Forget the messages of a sender that is gone."""
        self._sequencer.forget(origin)

    def due_for(self, origin: bytes, hold_time: float) -> float:
        """Return the time at which :meth:`give_up` must be called for one sender."""
        return self._sequencer.due_for(origin, hold_time, min(hold_time, FIRST_HOLD_TIME))

    def due(self, hold_time: float) -> float:
        """Return the time at which :meth:`give_up` must be called; infinity if no messages are held."""
        return self._sequencer.due(hold_time, min(hold_time, FIRST_HOLD_TIME))

    def give_up(self, now: float, hold_time: float) -> float:
        """Hand on the messages that were held for long enough.

        Returns:
            The time since when messages before them are missing; infinity if none are missing.
        """
        earliest = inf
        for missed, messages in self._sequencer.give_up(now, hold_time, min(hold_time, FIRST_HOLD_TIME)):
            if missed is not None:
                earliest = min(earliest, missed.since)
            for message in messages:
                self._hand_on(message)
        return earliest

    def _hand_on(self, message: bytes) -> None:
        try:
            self._receive(message[HEADER_SIZE:])
        except Exception:
            logger.exception(_FAILED)


class RecordSplitter:
    """Takes the messages of a channel on which the log of a room publishes, and tells them from the others.

    Args:
        take_record: takes the messages of the log, which have an order of their own.
        take: takes the others.
    """

    __slots__ = ("_take", "_take_record")

    def __init__(self, take_record: Receive, take: Receive) -> None:
        self._take_record = take_record
        self._take = take

    def take(self, message: bytes) -> None:
        """Take a message of either kind."""
        if message[:1] != _RECORD:
            self._take(message)
            return
        try:
            self._take_record(message)
        except Exception:
            logger.exception(_FAILED)


class PlainReceiver:
    """Takes the messages of a channel as they come: other programs publish on it, without numbers."""

    __slots__ = ("_receive",)

    def __init__(self, receive: ReceiveBody) -> None:
        self._receive = receive

    def take(self, message: bytes) -> None:
        """Take a message without a header."""
        try:
            self._receive(message)
        except Exception:
            logger.exception(_FAILED)


class Receivers:
    """The receivers of one node's channels.

    Args:
        own: the origin of this node, whose own messages are ignored.
        paths: over which messages come.
        events: called when messages are malformed or missing.
        signing: checks signatures; None if messages are not signed.
    """

    def __init__(self, own: bytes, paths: Paths, events: ReceiverEvents, signing: Signing | None = None) -> None:
        self._signing = signing
        self._takes: dict[bytes, Receive] = {}
        self._own = own
        self._paths = paths
        self._events = events
        self._silent = SilentSenders() if signing is None else SilentSenders(forget_after=signing.forget_after)
        self._held_bytes = HeldBytes()
        self._ordered: dict[bytes, OrderedReceiver] = {}
        self._holding: dict[OrderedReceiver, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = inf
        self._not_before = -inf  # time until which nothing is given up: after a standstill the sockets are read first

    def open(
        self,
        channel: bytes,
        receive: ReceiveBody,
        *,
        plain: bool,
        is_readable: IsReadable | None = None,
        unproven: ReceiveUnproven | None = None,
        take_record: Receive | None = None,
    ) -> Receive:
        """Make ``receive`` the receiver of a channel. Return a function that takes the messages as they come."""
        is_readable = is_readable or _any_body
        if plain:
            self._ordered.pop(channel, None)
            return PlainReceiver(receive).take
        receiver = self._ordered.get(channel)
        if receiver is None:
            paths = self._paths
            sequencer = Sequencer(self._silent, reorders=paths.reorders, held_bytes=self._held_bytes)
            signing = self._signing
            receiver = OrderedReceiver(
                channel, self._own, receive, is_readable, sequencer, paths, self, signed=signing is not None
            )
            self._ordered[channel] = receiver
            take = receiver.take if signing is None else signing.receiver(receiver, sequencer, unproven)
            self._takes[channel] = take
        else:
            receiver.replace(receive, is_readable)  # the numbers of the senders stay known
        take = self._takes[channel]
        return take if take_record is None else RecordSplitter(take_record, take).take

    def close(self, channel: bytes) -> None:
        """Drop the receiver of a channel, and the messages that it holds."""
        if (receiver := self._ordered.pop(channel, None)) is not None:
            del self._takes[channel]
            if self._signing is not None:
                self._signing.closed(receiver)
            receiver.close()
            self._holding.pop(receiver, None)

    def clear(self) -> None:
        """Drop the receivers of all channels."""
        for channel in list(self._ordered):
            self.close(channel)
        self._set_timer()

    def remember(self, origin: bytes) -> None:
        """Remember the messages of a member until :meth:`forget`, however long it is silent on a channel."""
        self._silent.members.add(origin)
        if self._signing is not None:
            self._signing.came(origin)

    def forget(self, origin: bytes) -> None:
        """Forget the messages of a member that is gone."""
        self._silent.members.discard(origin)
        if self._signing is not None:
            self._signing.went(origin)
        for receiver in self._ordered.values():
            receiver.forget(origin)

    def message_unreadable(self, message: bytes) -> None:
        """Take note of a message without a valid header."""
        self._events.message_unreadable(message)

    def record_came(self, channel: bytes, message: bytes) -> None:
        """Take a message of a log that came on a channel which no log of a room is known to use."""
        self._events.record_came(channel, message)

    def resumed(self, channel: bytes, since: float) -> None:
        """Report messages as missed, as a sender goes on from a message with an old number."""
        self._events.messages_missed((channel,), since)

    def limit_hold_time(self, receiver: OrderedReceiver, origin: bytes) -> None:
        """Set a limit to the time for which a receiver holds messages of a sender."""
        hold_time = self._paths.hold_time
        due = receiver.due_for(origin, hold_time)
        if due == inf:
            return  # nothing is held any more
        self._holding[receiver] = None
        if not hold_time or due == -inf:
            self._give_up()
        elif max(due, self._not_before) < self._due:  # a timer that is late finds out why
            self._set_timer()

    def came_late(self, channel: bytes, first: float) -> None:
        """Report a message as missed that was sent before the first message that was handed on."""
        # Messages are assumed to be on their way for no longer than that.
        self._events.messages_missed((channel,), first - max(self._paths.hold_time, FIRST_HOLD_TIME))

    def _give_up(self) -> None:
        now, hold_time = environment.monotonic(), self._paths.hold_time
        given_up = {receiver.channel: receiver.give_up(now, hold_time) for receiver in list(self._holding)}
        missed = {channel: since for channel, since in given_up.items() if since != inf}
        if missed:
            self._events.messages_missed(missed, min(missed.values()))
        self._set_timer()

    def _set_timer(self) -> None:
        """Set the timer for the first receiver that is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        hold_time = self._paths.hold_time
        dues = {receiver: receiver.due(hold_time) for receiver in self._holding}
        self._holding = {receiver: None for receiver, due in dues.items() if due != inf}
        self._due = max(min(dues.values(), default=inf), self._not_before)
        if self._due != inf:
            self._timer = asyncio.get_running_loop().call_later(
                max(0.0, self._due - environment.monotonic()), self._tick
            )

    def _tick(self) -> None:
        now = environment.monotonic()
        if now - self._due > STALL_TIME:
            self._not_before = now + FIRST_HOLD_TIME
            self._set_timer()
        else:
            self._give_up()


def is_record(message: bytes) -> bool:
    """Return whether a message comes from the log of a room, by its first byte."""
    return message[:1] == _RECORD


_RECORD = bytes([RECORD_VERSION])


def _ignore(_body: bytes) -> None:
    """Ignore a message for a channel that was closed meanwhile."""


def _any_body(_body: bytes) -> bool:
    return True
