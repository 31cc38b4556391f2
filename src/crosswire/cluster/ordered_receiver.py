"""The receiver of one channel: it drops duplicates, and hands on the messages of each sender in their order."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Protocol

from crosswire.core.envelopes import HEADER_SIZE, unpack_header
from crosswire.core.log_records import RECORD_VERSION
from crosswire.core.sequencing import Sequencer
from crosswire.errors import InvalidMessage
from crosswire.runtime import environment
from crosswire.runtime.log_records import get_logger

FIRST_HOLD_TIME = 0.25
"""Seconds for which the first messages of a sender are held if others may have been sent before them. On busy machines,
one Redis may be ahead of another by that much; the receivers hardly notice the delay."""

ReceiveBody = Callable[[bytes], bool | None]
"""Takes the body of a message; returns False if it can't be read, and then its number does not count."""
IsReadable = Callable[[bytes], bool]
"""Checks whether the body of a message can be read."""

FAILED = "the receiver of a message failed"
"""The line in the log for a receiver that raises."""

_RECORD = bytes([RECORD_VERSION])

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


class HoldEvents(Protocol):
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
        events: HoldEvents,
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
                logger.exception(FAILED)
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
            logger.exception(FAILED)

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
            logger.exception(FAILED)


def is_record(message: bytes) -> bool:
    """Return whether a message comes from the log of a room, by its first byte."""
    return message[:1] == _RECORD


def _ignore(_body: bytes) -> None:
    """Ignore a message for a channel that was closed meanwhile."""
