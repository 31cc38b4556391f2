"""The receivers of one node's channels: they drop duplicates, restore the order, and notice missing messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from math import inf
from typing import Protocol

from crosswire.cluster.interface import Receive
from crosswire.cluster.ordered_receiver import (
    FAILED,
    FIRST_HOLD_TIME,
    IsReadable,
    OrderedReceiver,
    Paths,
    ReceiveBody,
    is_record,
)
from crosswire.core.sender_stream import HeldBytes
from crosswire.core.sequencing import Sequencer
from crosswire.core.silent_senders import SilentSenders
from crosswire.runtime import environment
from crosswire.runtime.log_records import get_logger

STALL_TIME = 0.2
"""Seconds by which a timer must be late to show that the process stood still. Then the sockets are read first."""

ReceiveUnproven = Callable[[bytes], bool]
"""Takes the body of a message that is signed, but may be a replay; returns False if it is of no use."""

logger = get_logger("crosswire.cluster")


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
        if not is_record(message):
            self._take(message)
            return
        try:
            self._take_record(message)
        except Exception:
            logger.exception(FAILED)


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
            logger.exception(FAILED)


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


def _any_body(_body: bytes) -> bool:
    return True
