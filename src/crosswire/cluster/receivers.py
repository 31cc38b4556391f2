"""What one port receives: who takes the messages of which channel, in what order, and what is missing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Protocol

from crosswire.cluster.interface import Receive
from crosswire.core.envelopes import HEADER_SIZE, unpack_header
from crosswire.core.sequencing import Sequencer
from crosswire.errors import InvalidMessage

_GRACE = 0.25
"""Seconds that the first messages of a sender wait for others before them, where there may be some. What one Redis is
ahead of another where they share busy machines, and still little for whoever waits."""

_LATE = 0.2
"""Seconds. When the timer comes so late, the process stood still, and what is missing may be in the sockets."""

_FAILED = "what takes a message failed"

logger = logging.getLogger("crosswire.redis")


class ReceiverEvents(Protocol):
    """Whom receivers tell."""

    def message_refused(self) -> None:
        """A message is not what it should be."""

    def messages_missed(self, since: float) -> None:
        """Messages did not come, those behind them did; ``since`` is when the last one before them came, or else a
        while before the first one did, in seconds of the monotonic clock."""


class _HoldEvents(Protocol):
    """Whom an receiver tells."""

    def refuse(self) -> None:
        """A message is not what it should be."""

    def wait(self, receiver: OrderedReceiver) -> None:
        """The receiver holds messages back."""

    def came_late(self, first: float) -> None:
        """A message came that is before those that were taken for a sender's first, and is lost; ``first`` is when
        these came."""


class OrderedReceiver:
    """Takes what is published on one channel, and hands it on in order and each message once."""

    __slots__ = ("_holder", "_own", "_receive", "_sequencer")

    def __init__(self, own: bytes, receive: Receive, sequencer: Sequencer, holder: _HoldEvents) -> None:
        self._own = own
        self._receive = receive
        self._sequencer = sequencer
        self._holder = holder

    def take(self, message: bytes) -> None:
        """Take a message with its header."""
        try:
            origin, number, previous = unpack_header(message)
        except InvalidMessage:
            self._holder.refuse()
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
            self._holder.wait(self)
        elif (first := self._sequencer.belied(origin, number)) is not None:
            self._holder.came_late(first)

    def replace(self, receive: Receive) -> None:
        """Hand on to somebody else."""
        self._receive = receive

    def forget(self, origin: bytes) -> None:
        """Forget a sender."""
        self._sequencer.forget(origin)

    def due(self, patience: float) -> float:
        """When what is held has waited for long enough."""
        return self._sequencer.due(patience, min(patience, _GRACE))

    def give_up(self, now: float, patience: float) -> float:
        """Hand on what has waited for long enough. Return since when something is missing; infinity if nothing is."""
        earliest = inf
        for missed, messages in self._sequencer.give_up(now, patience, min(patience, _GRACE)):
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
    """Takes what is published on one channel as it comes: other programs publish there."""

    __slots__ = ("_receive",)

    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    def take(self, message: bytes) -> None:
        """Take a message, which is all body."""
        try:
            self._receive(message)
        except Exception:
            logger.exception(_FAILED)


class Receivers:
    """The channels of one port.

    Args:
        own: the port's origin, whose messages are not for it.
        scattered: see :class:`~crosswire.core.sequencing.Sequencer`.
        patience: seconds that messages are held while one before them is missing.
        owner: told what is wrong.

    Attributes:
        wanted: channels to be subscribed to.
        receivers: who takes the messages of a channel.
        alone: whether there is only one way, so that nothing is worth waiting for.
    """

    def __init__(self, own: bytes, *, scattered: bool, patience: float, owner: ReceiverEvents) -> None:
        self.wanted: set[bytes] = set()
        self.receivers: dict[bytes, Callable[[bytes], None]] = {}
        self.alone = True
        self._own = own
        self._scattered = scattered
        self._patience = patience
        self._owner = owner
        self._receivers: dict[bytes, OrderedReceiver] = {}
        self._holding: dict[OrderedReceiver, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = inf
        self._not_before = -inf  # after the process stood still, until the sockets have been read

    def open(self, channel: bytes, receive: Receive, *, plain: bool) -> None:
        """Let ``receive`` take what comes on a channel."""
        self.wanted.add(channel)
        if plain:
            self._receivers.pop(channel, None)
            self.receivers[channel] = PlainReceiver(receive).take
            return
        if (receiver := self._receivers.get(channel)) is not None:  # it goes on to know what has come
            receiver.replace(receive)
            return
        receiver = OrderedReceiver(self._own, receive, Sequencer(scattered=self._scattered), self)
        self._receivers[channel] = receiver
        self.receivers[channel] = receiver.take

    def close(self, channel: bytes, *, unsubscribe: bool) -> None:
        """Let nobody take it any more; ``unsubscribe`` to not want it either."""
        if unsubscribe:
            self.wanted.discard(channel)
        self.receivers.pop(channel, None)
        if (receiver := self._receivers.pop(channel, None)) is not None:
            receiver.replace(_ignore)
            self._holding.pop(receiver, None)

    def clear(self) -> None:
        """Close everything."""
        for channel in list(self.wanted):
            self.close(channel, unsubscribe=True)
        self._arm()

    def forget(self, origin: bytes) -> None:
        """Forget a sender that is gone."""
        for receiver in self._receivers.values():
            receiver.forget(origin)

    def refuse(self) -> None:
        """A message is not what it should be."""
        self._owner.message_refused()

    def wait(self, receiver: OrderedReceiver) -> None:
        """See to it that an receiver does not hold messages back for ever."""
        self._holding[receiver] = None
        due = receiver.due(self._patience)
        if self.alone or due == -inf:
            self._give_up()
        elif max(due, self._not_before) < self._due:  # one that is overdue is the timer's affair: it knows why
            self._arm()

    def came_late(self, first: float) -> None:
        """Tell that a message is missing that was sent before the first that was handed on."""
        self._owner.messages_missed(first - self._patience)  # what is under way for longer is not counted on

    def _give_up(self) -> None:
        now = monotonic()
        patience = 0.0 if self.alone else self._patience
        earliest = min([receiver.give_up(now, patience) for receiver in list(self._holding)], default=inf)
        if earliest != inf:
            self._owner.messages_missed(earliest)
        self._arm()

    def _arm(self) -> None:
        """Set the timer for the first that is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        dues = {receiver: receiver.due(self._patience) for receiver in self._holding}
        self._holding = {receiver: None for receiver, due in dues.items() if due != inf}
        self._due = max(min(dues.values(), default=inf), self._not_before)
        if self._due != inf:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, self._due - monotonic()), self._tick)

    def _tick(self) -> None:
        now = monotonic()
        if now - self._due > _LATE:
            self._not_before = now + _GRACE
            self._arm()
        else:
            self._give_up()


def _ignore(_body: bytes) -> None:
    """It came too late."""
