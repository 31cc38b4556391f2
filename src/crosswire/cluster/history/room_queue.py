"""The messages of one room that are on their way into its log, in the order in which they were sent here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from crosswire.core.formats import EncodedMessage
from crosswire.core.positions import LogPosition
from crosswire.core.targets import Excluded, ToRoom

MAX_BATCH = 256
"""Messages that are appended together at most: a Redis does nothing else meanwhile."""
MAX_BATCH_BYTES = 256 * 1024
"""Bytes of the messages that are appended together, if there is more than one."""


class Outgoing(msgspec.Struct, eq=False):
    """A message for a log.

    Attributes:
        number: in the order of this node's messages.
        message: as clients get it, without a position.
        excluded: users and sockets that don't get it.
        body: as the log gets it.
        since: when it was sent, in seconds of the monotonic clock.
        size: bytes that it takes of the send buffer.
        id: of the application; None if it has none.
        position: where its sender waits until it is kept; None if nobody waits.
        tried: whether it was handed to a log, which may have kept it.
        delivered: whether this node's clients have got it, without a position.
        follows_loss: whether messages were lost right before it, so that it begins a new epoch.
    """

    number: int
    message: EncodedMessage
    excluded: Excluded | None
    body: bytes
    since: float
    size: int
    id: str | None = None
    position: asyncio.Future[LogPosition] | None = None
    tried: bool = False
    delivered: bool = False
    follows_loss: bool = False

    @property
    def is_abandoned(self) -> bool:
        """Whether its sender waited for it and has given up."""
        return self.position is not None and self.position.done()


class RoomQueue:
    """Messages of one room that wait for its log, and those that it has not answered yet: one batch at a time.

    After a failure the messages are appended again, with the same numbers, before all others. So nothing overtakes
    them.

    Args:
        room: whose messages they are.
        release: called with the bytes of messages that are done with.

    Attributes:
        waiting: messages that the log does not have yet, oldest first.
        in_flight: the messages whose append has no answer yet, oldest first; None if there is no such append. There are
            none in it if it begins an epoch and nothing else.
        begins_epoch: whether that append begins a new epoch.
        not_before: time of the monotonic clock, in seconds, before which nothing is appended, after a failure.
        new_epoch: whether the next append begins a new epoch, as messages were delivered that the log does not have.
        settling: seconds of that epoch whose positions are not good for a recovery.
        is_asking: whether the log is asked if another node has just begun an epoch, so that this one need not.
        has_asked: whether it was asked, and none has.
        is_void_known: whether other nodes were told that messages were delivered that the log does not have.
        is_end_lost: whether messages were lost behind all that waits.
    """

    __slots__ = (
        "_release",
        "begins_epoch",
        "has_asked",
        "in_flight",
        "is_asking",
        "is_end_lost",
        "is_void_known",
        "new_epoch",
        "not_before",
        "room",
        "settling",
        "waiting",
    )

    def __init__(self, room: ToRoom, release: Callable[[int], None]) -> None:
        self.room = room
        self._release = release
        self.waiting: list[Outgoing] = []
        self.in_flight: Sequence[Outgoing] | None = None
        self.begins_epoch = False
        self.not_before = 0.0
        self.new_epoch = self.is_void_known = self.is_asking = self.has_asked = False
        self.settling = 0.0
        self.is_end_lost = False

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to be done."""
        return not self.waiting and self.in_flight is None and not self.new_epoch

    @property
    def delivered(self) -> list[int]:
        """The numbers of the messages that were delivered here, and are still to be kept."""
        return [each.number for each in (*(self.in_flight or ()), *self.waiting) if each.delivered]

    def __len__(self) -> int:
        return len(self.waiting) + len(self.in_flight or ())

    def take_batch(self) -> Sequence[Outgoing] | None:
        """Return the next messages to be appended; None if there are none, or they have to wait for an answer."""
        if self.in_flight is not None or not (self.waiting or self.new_epoch):
            return None
        messages = self.in_flight = self._take_next()
        self.begins_epoch = self.new_epoch
        self.new_epoch = self.has_asked = bool(self.waiting or self.is_end_lost) and self._is_loss_next()
        return messages

    def _take_next(self) -> Sequence[Outgoing]:
        """Return the oldest of the messages that wait, as many as one batch may have: usually all."""
        waiting, count, size = self.waiting, 0, 0
        for each in waiting:
            size += len(each.body)
            if count and (size > MAX_BATCH_BYTES or count == MAX_BATCH or each.follows_loss):
                break
            each.tried = True
            count += 1
        self.waiting = waiting[count:]
        return waiting if count == len(waiting) else waiting[:count]

    def _is_loss_next(self) -> bool:
        """Return whether messages were lost behind a batch: a further epoch tells it, as the loss is not in front."""
        if self.waiting:
            return self.waiting[0].follows_loss
        is_lost, self.is_end_lost = self.is_end_lost, False
        return is_lost

    def take_waiting(self) -> Sequence[Outgoing]:
        """Return all messages that wait, and let them wait no more."""
        messages, self.waiting = self.waiting, []
        return messages

    def need_no_epoch(self) -> None:
        """Take note that another node has just begun an epoch, which serves this one too."""
        self.new_epoch = self.is_void_known = False
        self.settling = 0.0

    def kept(self, positions: Sequence[LogPosition]) -> None:
        """Take note that the batch in flight is kept."""
        messages, self.in_flight = self.in_flight or (), None
        if self.begins_epoch and not self.new_epoch:
            self.need_no_epoch()
        size = 0
        for each, position in zip(messages, positions, strict=True):
            size += each.size
            each.size = 0
            if each.position is not None and not each.position.done():
                each.position.set_result(position)
        self._release(size)

    def lost(self) -> None:
        """Take note that nobody knows whether the batch in flight is kept: it waits again, before all others."""
        messages, self.in_flight = self.in_flight or (), None
        if self.new_epoch:  # as messages were lost behind these, which come again in front
            self._mark_loss(0)
        self.new_epoch = self.new_epoch or self.begins_epoch
        for each in messages:
            if each.is_abandoned:
                self._done(each)
        self.put_back([each for each in messages if not each.is_abandoned])

    def refused(self) -> Sequence[Outgoing]:
        """Take note that the batch in flight is not kept. Return its messages, behind those that were delivered here
        alone before.
        """
        messages, self.in_flight = self.in_flight or (), None
        self.new_epoch = self.new_epoch or self.begins_epoch
        delivered = [each for each in self.waiting if each.delivered]
        self.waiting = [each for each in self.waiting if not each.delivered]
        return (*delivered, *messages)

    def discard(self, message: Outgoing) -> None:
        """Be done with a message."""
        if message in self.waiting:
            self.waiting.remove(message)
        self._done(message)

    def put_back(self, messages: Sequence[Outgoing]) -> None:
        """Let messages wait again, in their place in the order in which all were sent."""
        if messages:
            self.waiting = sorted((*messages, *self.waiting), key=_number)

    def withdraw(self, message: Outgoing) -> None:
        """Take back a message whose sender does not wait any more, unless it was handed to the log."""
        if message in self.waiting:
            if message.follows_loss:
                self._mark_loss(self.waiting.index(message) + 1)
            self.discard(message)

    def _mark_loss(self, index: int) -> None:
        """Take note that messages were lost in front of the one at an index of those that wait, or behind all."""
        if index < len(self.waiting):
            self.waiting[index].follows_loss = True
        else:
            self.is_end_lost = True

    def _done(self, message: Outgoing) -> None:
        self._release(message.size)
        message.size = 0


def _number(message: Outgoing) -> int:
    return message.number
