"""The messages of one room that are on their way into its log, in the order in which they were sent here."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from crosswire.core.audience import Excluded, ToRoom
from crosswire.core.formats import EncodedMessage
from crosswire.core.positions import LogPosition

MAX_BATCH = 256
"""Messages that are appended together at most: a Redis does nothing else meanwhile."""
MAX_BATCH_BYTES = 256 * 1024
"""Bytes of the messages that are appended together, if there is more than one."""


class Outgoing:
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

    __slots__ = (
        "body",
        "delivered",
        "excluded",
        "follows_loss",
        "id",
        "message",
        "number",
        "position",
        "since",
        "size",
        "tried",
    )

    def __init__(
        self,
        number: int,
        message: EncodedMessage,
        excluded: Excluded | None,
        body: bytes,
        since: float,
        size: int,
        id: str | None = None,
        position: asyncio.Future[LogPosition] | None = None,
    ) -> None:
        self.number = number
        self.message = message
        self.excluded = excluded
        self.body = body
        self.since = since
        self.size = size
        self.id = id
        self.position = position
        self.tried = self.delivered = self.follows_loss = False

    @property
    def is_abandoned(self) -> bool:
        """Whether its sender waited for it and has given up."""
        return self.position is not None and self.position.done()


class Batch(NamedTuple):
    """Messages that are appended together.

    Attributes:
        messages: oldest first; none to begin an epoch and nothing else.
        previous: number of the message before them that has no answer yet; 0 if there is none.
        new_epoch: whether they begin a new epoch.
        settling: seconds at the beginning of an epoch whose positions are not good for a recovery.
    """

    messages: tuple[Outgoing, ...]
    previous: int
    new_epoch: bool
    settling: float


class RoomQueue:
    """Messages of one room that wait for its log, and those that it has not answered yet.

    After a failure the messages are appended again, with the same numbers, but only when all that was handed over has
    an answer: so nothing overtakes them.

    Args:
        room: whose messages they are.
        release: called with the bytes of messages that are done with.

    Attributes:
        waiting: messages that the log does not have yet, oldest first.
        not_before: time of the monotonic clock, in seconds, before which nothing is appended, after a failure.
        new_epoch: whether the next append begins a new epoch, as messages were delivered that the log does not have.
        settling: seconds of that epoch whose positions are not good for a recovery.
        is_asking: whether the log is asked if another node has just begun an epoch, so that this one need not.
        has_asked: whether it was asked, and none has.
        is_void_known: whether other nodes were told that messages were delivered that the log does not have.
        is_end_lost: whether messages were lost behind all that waits.
    """

    __slots__ = (
        "_in_flight",
        "_lost",
        "_release",
        "has_asked",
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
        self.waiting: deque[Outgoing] = deque()
        self._in_flight: deque[Batch] = deque()
        self._lost: list[Outgoing] = []  # those that failed while others had no answer yet
        self.not_before = 0.0
        self.new_epoch = self.is_void_known = self.is_asking = self.has_asked = False
        self.settling = 0.0
        self.is_end_lost = False

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to be done."""
        return not (self.waiting or self._in_flight or self._lost or self.new_epoch)

    @property
    def is_failing(self) -> bool:
        """Whether an append has failed, and another has no answer yet: nothing can be appended or delivered now."""
        return bool(self._lost)

    @property
    def is_in_flight(self) -> bool:
        """Whether an append has no answer yet."""
        return bool(self._in_flight)

    @property
    def delivered(self) -> list[int]:
        """The numbers of the messages that were delivered here, and are still to be kept."""
        batches = [each for batch in self._in_flight for each in batch.messages]
        return [each.number for each in (*batches, *self._lost, *self.waiting) if each.delivered]

    def __len__(self) -> int:
        return len(self.waiting) + len(self._lost) + sum(len(batch.messages) for batch in self._in_flight)

    def take_batch(self, settling: float) -> Batch | None:
        """Return the next messages to be appended; None if there are none, or they have to wait for an answer.

        Args:
            settling: seconds of an epoch that begins now whose positions are not good for a recovery.
        """
        if self.is_failing or (self.new_epoch and self._in_flight) or not (self.waiting or self.new_epoch):
            return None
        messages = self._take_next()
        batch = Batch(messages, self._last_in_flight(), self.new_epoch, max(settling, self.settling))
        self.new_epoch = self.has_asked = self._is_loss_next()
        for each in messages:
            each.tried = True
        self._in_flight.append(batch)
        return batch

    def _take_next(self) -> tuple[Outgoing, ...]:
        """Return the oldest of the messages that wait, as many as one batch may have."""
        waiting, messages, size = self.waiting, list[Outgoing](), 0
        while waiting and len(messages) < MAX_BATCH:
            size += len(waiting[0].body)
            if messages and (size > MAX_BATCH_BYTES or waiting[0].follows_loss):
                break
            messages.append(waiting.popleft())
        return tuple(messages)

    def _is_loss_next(self) -> bool:
        """Return whether messages were lost behind a batch: a further epoch tells it, as the loss is not in front."""
        if self.waiting:
            return self.waiting[0].follows_loss
        is_lost, self.is_end_lost = self.is_end_lost, False
        return is_lost

    def take_waiting(self) -> tuple[Outgoing, ...]:
        """Return all messages that wait, and let them wait no more."""
        messages = tuple(self.waiting)
        self.waiting.clear()
        return messages

    def need_no_epoch(self) -> None:
        """Take note that another node has just begun an epoch, which serves this one too."""
        self.new_epoch = self.is_void_known = False
        self.settling = 0.0

    def kept(self, batch: Batch, positions: Iterator[LogPosition]) -> None:
        """Take note that a batch is kept."""
        self._in_flight.remove(batch)
        if batch.new_epoch and not self.new_epoch:
            self.need_no_epoch()
        for each, position in zip(batch.messages, positions, strict=True):
            self._done(each)
            if each.position is not None and not each.position.done():
                each.position.set_result(position)

    def lost(self, batch: Batch) -> None:
        """Take note that nobody knows whether a batch is kept: it is appended again, before all that waits."""
        self._in_flight.remove(batch)
        if self.new_epoch:  # as messages were lost behind these, which come again in front
            self._mark_loss(0)
        self.new_epoch = self.new_epoch or batch.new_epoch
        self._lost += batch.messages
        self._settle()

    def refused(self, batch: Batch) -> tuple[Outgoing, ...]:
        """Take note that a batch is not kept. Return its messages, behind those that were delivered here alone before.

        There are none if they are appended again, behind others that were lost.
        """
        if self.is_failing:
            self.lost(batch)
            return ()
        self._in_flight.remove(batch)
        self.new_epoch = self.new_epoch or batch.new_epoch
        delivered = [each for each in self.waiting if each.delivered]
        self.waiting = deque(each for each in self.waiting if not each.delivered)
        return (*delivered, *batch.messages)

    def discard(self, message: Outgoing) -> None:
        """Be done with a message."""
        if message in self.waiting:
            self.waiting.remove(message)
        self._done(message)

    def put_back(self, messages: list[Outgoing]) -> None:
        """Let messages wait again, in their place in the order in which all were sent."""
        if messages:
            self.waiting = deque(sorted((*messages, *self.waiting), key=_number))

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

    def _settle(self) -> None:
        if self._in_flight:
            return
        lost, self._lost = self._lost, []
        for each in lost:
            if each.is_abandoned:
                self._done(each)
        self.put_back([each for each in lost if not each.is_abandoned])

    def _last_in_flight(self) -> int:
        return next((batch.messages[-1].number for batch in reversed(self._in_flight) if batch.messages), 0)

    def _done(self, message: Outgoing) -> None:
        self._release(message.size)
        message.size = 0


def _number(message: Outgoing) -> int:
    return message.number
