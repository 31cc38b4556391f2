"""The way of this node's messages into the logs of rooms, in order, and past them where a log can't be reached."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from crosswire.cluster.history.append_times import AppendTimes
from crosswire.cluster.history.room_queue import Outgoing, RoomQueue
from crosswire.cluster.log.interface import Append, AppendFailure, Log, RoomLog
from crosswire.core.positions import LogPosition
from crosswire.core.settled_positions import SETTLING_TIME
from crosswire.core.targets import ToRoom
from crosswire.errors import BusUnavailable
from crosswire.runtime import environment
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings

PATIENCE = 1.0
"""Seconds that messages wait for a log that can't be reached; then they are delivered without a position."""
RETRY_AFTER = 0.1
"""Seconds after which messages are appended again, and at which it is checked how long messages wait for a log."""
EPOCH_RETRY_AFTER = 1.0
"""Seconds after which a new epoch is tried again that no message waits for."""
MAX_IDLE_QUEUES = 1_000
"""Queues beyond which one that has nothing to do is dropped: a room of which much is heard needs its queue again."""
MOVED_FOR = 10.0
"""Seconds after a change of the holders in which some nodes may not know of it, and use other ones."""

MAYBE_KEPT = (
    "the log of the room does not say in time whether the message is kept: perhaps it is, and was heard. Publish it "
    "again with the same id=, and it is kept and heard once"
)
"""Text of an error for a message that a log may have kept."""
NOT_KEPT = "the message is not kept, and nobody has got it: the log of the room can't be reached"
"""Text of an error for a message that was not handed to a log."""

logger = get_logger("crosswire.history")


class Fallback(Protocol):
    """Delivers messages that a log does not have."""

    def deliver(self, room: ToRoom, message: Outgoing) -> None:
        """Deliver a message to the clients of this node that have not got it yet, without a position."""

    def publish(self, room: ToRoom, message: Outgoing) -> bool:
        """Send a message to the other nodes past the log; return False if none can be reached."""
        ...

    def ask_for_epoch(self, room: ToRoom, answer: Callable[[bool], None], /) -> None:
        """Find out whether another node has just begun a new epoch, none of whose positions is good yet."""

    def void(self, room: ToRoom) -> None:
        """Take note, and tell all nodes, that messages of a room were delivered that its log does not have."""

    def began(self, room: ToRoom) -> None:
        """Take note, and tell all nodes, that a room's log has a new epoch, for which it was void."""


class Appends:
    """The queues of all rooms.

    What is sent in one turn of the event loop to one room is appended together: :class:`AppendTimes` says when. While
    an append has no answer yet, what follows waits for that. So a busy room has larger batches, up to a limit: they
    come to all nodes together, whose clients get each in one write.

    While a log can't be reached, messages wait for it, for :data:`PATIENCE`. Then those that nobody waits for go past
    it: they are delivered here, and to other nodes over the bus; if these can't be reached either, they are kept for
    the log. The next append then begins a new epoch, as no position before is good for a recovery any more.

    Args:
        origin: of this node, 8 bytes.
        log: the logs.
        log_of: returns the log of a room.
        fallback: delivers messages that a log does not have.
        release: gives back bytes of the send buffer.
        times: when what was sent is appended.

    Attributes:
        appended: number of messages that were kept.
    """

    def __init__(
        self,
        origin: bytes,
        log: Log,
        log_of: Callable[[ToRoom], RoomLog],
        fallback: Fallback,
        release: Callable[[int], None],
        times: AppendTimes,
    ) -> None:
        times.flush = self.flush
        self._times = times
        self._origin = origin
        self._log = log
        self._log_of = log_of
        self._fallback = fallback
        self._release = release
        self._queues: dict[ToRoom, RoomQueue] = {}
        self._dirty: dict[RoomQueue, None] = {}  # those that are appended when it is time
        self._waiting: dict[ToRoom, None] = {}  # those that wait for a log that can't be reached, or has just failed
        self._down_since: dict[str, float] = {}  # by holder
        self._timer: asyncio.TimerHandle | None = None
        self._moved_until = 0.0  # time until which nodes may not agree on the holders
        self._all_done: asyncio.Event | None = None
        self._is_closed = False
        self._warnings = ThrottledWarnings(logger)
        self.appended = 0

    @property
    def pending(self) -> int:
        """Number of messages that are not kept yet."""
        return sum(map(len, self._queues.values()))

    @property
    def dropped(self) -> int:
        """Number of messages that are lost: they could be delivered nowhere when nothing was appended any more."""
        return self.pending if self._is_closed else 0

    @property
    def settling(self) -> float:
        """Seconds of an epoch that begins now whose positions are not good for a recovery."""
        return SETTLING_TIME if environment.monotonic() < self._moved_until else 0.0

    def add(self, room: ToRoom, message: Outgoing) -> None:
        """Append a message when it is time, or as soon as the log can be reached.

        Once nothing is appended any more, it is delivered past the log, as what was left then.
        """
        queue = self._queues.get(room)
        if queue is None:
            queue = self._queue(room)
        if self._is_closed:
            self._pass_by(queue, (message,), _abandoned)
            return
        if queue.is_end_lost:
            message.follows_loss, queue.is_end_lost = True, False
        queue.waiting.append(message)
        self._schedule(queue)

    def begin_epoch(self, room: ToRoom) -> None:
        """Begin a new epoch as soon as the log can be reached: messages were delivered that it does not have."""
        queue = self._queue(room)
        queue.new_epoch = True
        queue.settling = SETTLING_TIME
        self._schedule(queue)

    def withdraw(self, room: ToRoom, message: Outgoing) -> None:
        """Take back a message whose sender does not wait any more, unless it was handed to the log."""
        if (queue := self._queues.get(room)) is not None:
            queue.withdraw(message)
            self._drop_if_idle(queue)

    def delivered(self, room: ToRoom) -> list[int]:
        """Return the numbers of the messages of a room that were delivered here already, and are still to be kept."""
        return [] if (queue := self._queues.get(room)) is None else queue.delivered

    # The holders of the logs

    def holder_changed(self, holder: str) -> None:
        """Append what waits for a holder that can be reached again, and take note of one that can't."""
        for room, queue in self._queues.items():
            if queue.is_idle:
                continue
            log = self._log_of(room)
            if self._log.holder(log) == holder and self._log.is_available(log):
                self._down_since.pop(holder, None)
                queue.not_before = 0.0
                self._schedule(queue)

    def logs_moved(self) -> None:
        """Take note that the logs of some rooms have another holder from now on."""
        self._moved_until = environment.monotonic() + MOVED_FOR
        for room in self._waiting:
            self._schedule(self._queue(room))

    # Appending

    def flush(self) -> None:
        """Append everything that was sent up to now."""
        dirty, self._dirty = self._dirty, {}
        now = environment.monotonic()
        for queue in dirty:
            self._flush(queue, now)

    def _flush(self, queue: RoomQueue, now: float) -> None:
        if queue.in_flight is not None:
            return  # its answer goes on with what waits
        log = self._log_of(queue.room)
        if not self._log.is_available(log):
            self._down_since.setdefault(self._log.holder(log), now)
            self._wait(queue, now)
            return
        if self._down_since:
            self._down_since.pop(self._log.holder(log), None)
        if now < queue.not_before:
            self._wait(queue, now)
            return
        if self._waiting:
            self._waiting.pop(queue.room, None)
        if queue.new_epoch and not queue.has_asked and self._all_done is None:  # not while the node stops
            self._ask_for_epoch(queue)
            return
        messages = queue.take_batch()
        if messages is not None:
            settling = SETTLING_TIME if now < self._moved_until else queue.settling
            kept, failed = partial(self._kept, queue), partial(self._failed, queue)
            self._log.append(Append(log, self._origin, 0, messages, queue.begins_epoch, settling, kept, failed))

    def _ask_for_epoch(self, queue: RoomQueue) -> None:
        """Begin no epoch right after another node: what it has kept would be gone before all have heard it."""
        if not queue.is_asking:
            queue.is_asking = True
            self._fallback.ask_for_epoch(queue.room, partial(self._take_epoch_answer, queue))

    def _take_epoch_answer(self, queue: RoomQueue, has_begun: bool) -> None:
        queue.is_asking = False
        if queue.has_asked:  # a message was lost meanwhile: the epoch is needed all the same
            has_begun = False
        queue.has_asked = not has_begun
        if has_begun:
            queue.need_no_epoch()
            self._fallback.began(queue.room)
        self._go_on(queue)

    def _kept(self, queue: RoomQueue, positions: Sequence[LogPosition]) -> None:
        self.appended += len(positions)
        queue.kept(positions)
        if queue.begins_epoch:
            self._fallback.began(queue.room)
        self._go_on(queue)

    def _failed(self, queue: RoomQueue, failure: AppendFailure, why: str) -> None:
        queue.not_before = environment.monotonic() + (RETRY_AFTER if queue.in_flight else EPOCH_RETRY_AFTER)
        if failure is AppendFailure.LOST:
            queue.lost()
        else:
            self._warnings.warn("refused", "the log of a room does not keep messages: %s", why)
            self._pass_by(queue, queue.refused(), partial(_refused, why))
        self._go_on(queue)

    def _go_on(self, queue: RoomQueue) -> None:
        """Append what waits, if there is something, now that an append has its answer."""
        if queue.waiting or queue.new_epoch:
            self._schedule(queue)
        elif self._all_done is not None or len(self._queues) > MAX_IDLE_QUEUES:
            self._drop_if_idle(queue)

    def _queue(self, room: ToRoom) -> RoomQueue:
        queue = self._queues.get(room)
        if queue is None:
            queue = self._queues[room] = RoomQueue(room, self._release)
        return queue

    def _drop_if_idle(self, queue: RoomQueue) -> None:
        if queue.is_idle and self._queues.get(queue.room) is queue:
            del self._queues[queue.room]
            self._waiting.pop(queue.room, None)
            if not self._queues and self._all_done is not None:
                self._all_done.set()

    def _schedule(self, queue: RoomQueue) -> None:
        if not self._is_closed:
            self._dirty[queue] = None
            self._times.schedule()

    # Past the log

    def _wait(self, queue: RoomQueue, now: float) -> None:
        """Let messages wait for the log, or go past it if they have waited for long enough."""
        self._waiting[queue.room] = None
        self._pass_if_due(queue, now)
        if self._timer is None and self._waiting and not self._is_closed:
            self._timer = asyncio.get_running_loop().call_later(RETRY_AFTER, self._check_waiting)

    def _check_waiting(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, {}
        now = environment.monotonic()
        for room in waiting:
            if (queue := self._queues.get(room)) is not None:
                self._flush(queue, now)

    def _pass_if_due(self, queue: RoomQueue, now: float) -> None:
        if queue.in_flight is not None:
            return
        log = self._log_of(queue.room)
        down = self._down_since.get(self._log.holder(log))
        if down is None or self._log.is_available(log):
            return
        oldest = next((each.since for each in queue.waiting if each.position is None), now)
        if now - min(down, oldest) >= PATIENCE:
            self._pass_by(queue, queue.take_waiting(), None)

    def _pass_by(
        self, queue: RoomQueue, messages: Sequence[Outgoing], error: Callable[[Outgoing], BusUnavailable] | None
    ) -> None:
        """Deliver messages past the log.

        Those that a sender waits for are not, or a second attempt of the sender might be heard twice.

        Args:
            queue: of their room.
            messages: of the queue, taken out of it.
            error: makes the error for a sender that waits; None to let it wait for the log.
        """
        remaining: list[Outgoing] = []
        passed = False
        for each in messages:
            if each.position is not None and error is None and not each.is_abandoned:
                remaining.append(each)
            elif each.position is not None:
                if not each.is_abandoned:
                    each.position.set_exception(error(each) if error is not None else _abandoned(each))
                queue.discard(each)
            else:
                passed = passed or not each.delivered
                if self._deliver(queue, each):
                    passed = True
                    queue.discard(each)
                else:
                    remaining.append(each)
        queue.put_back(remaining)
        if passed:
            self.note_void(queue.room)
        else:
            self._drop_if_idle(queue)

    def _deliver(self, queue: RoomQueue, message: Outgoing) -> bool:
        """Deliver a message here, unless it was, and to other nodes; return False if none can be reached."""
        if not message.delivered:
            message.delivered = True
            self._fallback.deliver(queue.room, message)
        return self._fallback.publish(queue.room, message)

    def note_void(self, room: ToRoom) -> None:
        """Take note that messages of a room are not in its log, and were delivered or are lost: a new epoch is due."""
        queue = self._queue(room)
        queue.new_epoch = True
        queue.settling = SETTLING_TIME
        if not queue.is_void_known:
            queue.is_void_known = True
            self._fallback.void(room)
        self._schedule(queue)

    def note_lost(self, room: ToRoom) -> None:
        """Take note that a message is lost which was sent behind all that waits."""
        self.note_void(room)
        queue = self._queue(room)
        queue.is_end_lost = bool(queue.waiting)
        queue.has_asked = True  # an epoch that has just begun would not tell it, also if it is this node's own

    # Stopping

    async def finish(self, timeout: float) -> None:
        """Wait until everything is kept, for ``timeout`` seconds at most."""
        self.flush()
        for queue in list(self._queues.values()):
            self._drop_if_idle(queue)
        if not self._queues:
            return
        self._all_done = asyncio.Event()
        with suppress(TimeoutError):  # what is left is delivered past the logs: see close
            async with asyncio.timeout(timeout):
                await self._all_done.wait()

    def close(self) -> None:
        """Deliver past the logs what is left, after the logs were stopped. Nothing is appended from now on."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for queue in list(self._queues.values()):
            self._pass_by(queue, queue.take_waiting(), _abandoned)


def _refused(why: str, _message: Outgoing) -> BusUnavailable:
    return BusUnavailable(f"the message is not kept, and nobody has got it: {why}")


def _abandoned(message: Outgoing) -> BusUnavailable:
    """Return the error for a sender that does not wait for a message any more."""
    if message.tried:
        return BusUnavailable(MAYBE_KEPT)
    return BusUnavailable(NOT_KEPT)
