"""The receivers of one node's channels: they drop duplicates, restore the order, and find out what is missing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from math import inf
from time import monotonic
from typing import Protocol

from crosswire.cluster.interface import Receive
from crosswire.core.envelopes import HEADER_SIZE, unpack_header
from crosswire.core.sequencing import Sequencer
from crosswire.errors import InvalidMessage

FIRST_HOLD_TIME = 0.25
"""Seconds for which the first messages of a sender are held where others may have been sent before them: by so much one
Redis is ahead of another on busy machines, and it is still little for those who wait."""

STALL_TIME = 0.2
"""Seconds by which a timer is late if the process stood still; then missing messages may be in the sockets."""

_FAILED = "the receiver of a message failed"

logger = logging.getLogger("crosswire.cluster")


class Paths(Protocol):
    """The paths over which messages come; see :class:`~crosswire.cluster.interface.Port`."""

    reorders: bool

    @property
    def hold_time(self) -> float:
        """Seconds in which a missing message may still come."""
        ...


class ReceiverEvents(Protocol):
    """Callbacks for malformed and missing messages."""

    def message_unreadable(self) -> None:
        """Take note of a message without a valid header."""

    def messages_missed(self, channels: Collection[bytes], since: float) -> None:
        """Take note that messages did not come, and later ones did.

        Args:
            channels: on which they were published.
            since: when the last message before them came, or else a while before the first one did, in seconds of the
                monotonic clock.
        """


class _HoldEvents(Protocol):
    """Callbacks of a receiver that can't hand on a message at once."""

    def refuse(self) -> None:
        """Refuse a message without a valid header."""

    def hold(self, receiver: OrderedReceiver) -> None:
        """Set a limit to the time for which a receiver holds messages."""

    def came_late(self, channel: bytes, first: float) -> None:
        """Report a message as missed that came after later ones had been taken for the sender's first.

        Args:
            channel: on which it came.
            first: when those had come.
        """


class OrderedReceiver:
    """Takes the messages of one channel, and hands them on in order and each once.

    Args:
        channel: its name.
        own: the origin of this node, whose messages are not for itself.
        receive: takes the bodies of the messages.
        sequencer: puts them in order.
        events: called when a message can't be handed on at once.
    """

    __slots__ = ("_events", "_own", "_receive", "_sequencer", "channel")

    def __init__(self, channel: bytes, own: bytes, receive: Receive, sequencer: Sequencer, events: _HoldEvents) -> None:
        self.channel = channel
        self._own = own
        self._receive = receive
        self._sequencer = sequencer
        self._events = events

    def take(self, message: bytes) -> None:
        """Take a message with its header."""
        try:
            origin, number, previous = unpack_header(message)
        except InvalidMessage:
            self._events.refuse()
            return
        if origin == self._own:
            return
        now = monotonic()
        if self._sequencer.accept(origin, number, previous, now):
            try:
                self._receive(message[HEADER_SIZE:])
            except Exception:
                logger.exception(_FAILED)
            return
        if self._sequencer.hold(origin, number, previous, message, now):
            for ready in self._sequencer.ready(origin):
                self._hand_on(ready)
            self._events.hold(self)
        elif (first := self._sequencer.correct_first(origin, number)) is not None:
            self._events.came_late(self.channel, first)

    def replace(self, receive: Receive) -> None:
        """Hand messages on to another receiver from now on."""
        self._receive = receive

    def forget(self, origin: bytes) -> None:
        """Forget the messages of a sender that is gone."""
        self._sequencer.forget(origin)

    def due(self, hold_time: float) -> float:
        """Return when held messages are handed on at the latest; infinity if none are held."""
        return self._sequencer.due(hold_time, min(hold_time, FIRST_HOLD_TIME))

    def give_up(self, now: float, hold_time: float) -> float:
        """Hand on what is due. Return since when messages are missing; infinity if none are."""
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


class PlainReceiver:
    """Takes the messages of a channel as they come, because other programs publish there."""

    __slots__ = ("_receive",)

    def __init__(self, receive: Receive) -> None:
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
        own: the origin of this node, whose messages are not for itself.
        paths: over which messages come.
        events: called when messages are malformed or missing.
    """

    def __init__(self, own: bytes, paths: Paths, events: ReceiverEvents) -> None:
        self._own = own
        self._paths = paths
        self._events = events
        self._ordered: dict[bytes, OrderedReceiver] = {}
        self._holding: dict[OrderedReceiver, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = inf
        self._not_before = -inf  # after the process stood still, until the sockets have been read

    def open(self, channel: bytes, receive: Receive, *, plain: bool) -> Receive:
        """Make ``receive`` the receiver of a channel. Return what takes the messages as they come."""
        if plain:
            self._ordered.pop(channel, None)
            return PlainReceiver(receive).take
        receiver = self._ordered.get(channel)
        if receiver is None:
            sequencer = Sequencer(reorders=self._paths.reorders)
            receiver = self._ordered[channel] = OrderedReceiver(channel, self._own, receive, sequencer, self)
        else:
            receiver.replace(receive)  # and go on with what is known of the senders
        return receiver.take

    def close(self, channel: bytes) -> None:
        """Drop the receiver of a channel, and what it holds."""
        if (receiver := self._ordered.pop(channel, None)) is not None:
            receiver.replace(_ignore)
            self._holding.pop(receiver, None)

    def clear(self) -> None:
        """Drop the receivers of all channels."""
        for channel in list(self._ordered):
            self.close(channel)
        self._set_timer()

    def forget(self, origin: bytes) -> None:
        """Forget the messages of a sender that is gone."""
        for receiver in self._ordered.values():
            receiver.forget(origin)

    def refuse(self) -> None:
        """Refuse a message without a valid header."""
        self._events.message_unreadable()

    def hold(self, receiver: OrderedReceiver) -> None:
        """Set a limit to the time for which a receiver holds messages."""
        self._holding[receiver] = None
        hold_time = self._paths.hold_time
        due = receiver.due(hold_time)
        if not hold_time or due == -inf:
            self._give_up()
        elif max(due, self._not_before) < self._due:  # one that is overdue is left to the timer, which knows why
            self._set_timer()

    def came_late(self, channel: bytes, first: float) -> None:
        """Report a message as missed that was sent before the first one that was handed on."""
        # Messages that were on their way for longer are not counted on.
        self._events.messages_missed((channel,), first - max(self._paths.hold_time, FIRST_HOLD_TIME))

    def _give_up(self) -> None:
        now, hold_time = monotonic(), self._paths.hold_time
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
            self._timer = asyncio.get_running_loop().call_later(max(0.0, self._due - monotonic()), self._tick)

    def _tick(self) -> None:
        now = monotonic()
        if now - self._due > STALL_TIME:
            self._not_before = now + FIRST_HOLD_TIME
            self._set_timer()
        else:
            self._give_up()


def _ignore(_body: bytes) -> None:
    """Ignore a message for a channel that was closed meanwhile."""
