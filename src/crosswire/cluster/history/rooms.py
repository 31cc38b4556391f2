"""The rooms that keep history and have members on this node: their timelines, kept in step with the logs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from crosswire.cluster.clients import Clients
from crosswire.cluster.history.append_times import AppendTimes
from crosswire.cluster.history.bodies import Bodies
from crosswire.cluster.history.comparison import Comparison
from crosswire.cluster.history.open_room import OpenRoom
from crosswire.cluster.log.interface import Log, RoomLog, Tail
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.core.envelopes import LogPlace
from crosswire.core.formats import EncodedMessage
from crosswire.core.log_records import LogRecord, unpack_record
from crosswire.core.positions import LogPosition
from crosswire.core.targets import Excluded, ToRoom
from crosswire.core.timeline import Change, Kept, Timeline
from crosswire.errors import BusUnavailable, InvalidMessage, InvalidPayload
from crosswire.runtime import environment
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings

MAX_READS = 16
"""Reads of logs by one node at the same time; others wait for their turn."""
BEGINNING = 5.0
"""Seconds that may pass until all nodes know that a room keeps history: what is kept then is new to members."""
LARGE_FANOUT = 16
"""Clients of this node from which on a fan-out is worth that what is sent waits for it: in a small room a larger batch
saves next to nothing, and the wait is one more turn of the event loop."""
JOIN_PATIENCE = 1.0
"""Seconds for which joins wait for a log that can't be reached any more; then nobody is recovered."""
TRIMMED = "trimmed"
"""Reason of a loss that could not be repaired: the log does not have the messages any more."""

logger = get_logger("crosswire.history")


class OpenRooms:
    """The rooms that keep history and have members on this node.

    Args:
        native: has the rooms' channels.
        port: the node's end of the bus.
        log: the logs.
        log_of: returns the log of a room.
        bodies: reads what logs keep.
        clients: of this node.
        tasks: where logs are read.
        prepare: called with a room before its log is read.
        voided: called with a room some messages of which were delivered here although its log does not have them.
        is_void: returns whether messages of a room were delivered that its log does not have.
        unplaced: takes a message that did not come from the log of its room.
        times: is told of records that are handed on.
    """

    def __init__(
        self,
        native: NativeDialect,
        port: OrderedPort,
        log: Log,
        log_of: Callable[[ToRoom], RoomLog],
        bodies: Bodies,
        clients: Clients,
        tasks: BackgroundTasks,
        prepare: Callable[[ToRoom], None],
        voided: Callable[[ToRoom], None],
        is_void: Callable[[ToRoom], bool],
        unplaced: Callable[[ToRoom, EncodedMessage, Excluded | None, LogPlace | None], None],
        times: AppendTimes,
    ) -> None:
        self._times = times
        self._native = native
        self._port = port
        self._log = log
        self._log_of = log_of
        self._bodies = bodies
        self._clients = clients
        self._tasks = tasks
        self._prepare = prepare
        self._voided = voided
        self._is_void = is_void
        self.unplaced = unplaced
        self._rooms: dict[tuple[str, str], OpenRoom] = {}
        self._reads = asyncio.Semaphore(MAX_READS)
        self._timers: dict[str, asyncio.TimerHandle] = {}  # by holder; how long joins wait for it
        self._comparison = Comparison(log, log_of, tasks, self.all, self._catch_up, self._settle_unreachable)
        self._warnings = ThrottledWarnings(logger)

    def __len__(self) -> int:
        return len(self._rooms)

    def all(self) -> list[OpenRoom]:
        """Return all rooms that are open."""
        return list(self._rooms.values())

    def get(self, namespace: str, id: str) -> OpenRoom | None:
        """Return a room; None if it is not open."""
        return self._rooms.get((namespace, id))

    def open(self, room: ToRoom, *, heard: Sequence[tuple[bytes, int]] | None = None) -> None:
        """Listen to the log of a room, and read it.

        Args:
            room: its name.
            heard: origin and number of each message of the log that its members have got, if it has members already, as
                it begins to keep history just now; None if it has none.
        """
        key = room.namespace, room.id
        if key in self._rooms:
            return
        log = self._log_of(room)
        opened = self._rooms[key] = OpenRoom(room, log.channel, log, had_members=heard is not None)
        for origin, number in heard or ():
            opened.timeline.take_unplaced(origin, number)
        self._native.subscribe_kept_room(room, self)
        if self._is_void(room):
            opened.timeline.void()
        self._read_soon(opened)

    def close(self, namespace: str, id: str) -> None:
        """Listen to a room no more, as it has no members."""
        if (opened := self._rooms.pop((namespace, id), None)) is not None:
            opened.settle()

    def clear(self) -> None:
        """Close all rooms, as the node stops."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for opened in self._rooms.values():
            opened.settle()
        self._rooms.clear()

    def resize(self, namespaces: set[str]) -> None:
        """Keep as much of the rooms of some namespaces as is declared now."""
        for opened in self._rooms.values():
            if opened.room.namespace in namespaces:
                log = self._log_of(opened.room)
                opened.timeline.resize(log.size, log.ttl)

    async def wait_settled(self, opened: OpenRoom) -> None:
        """Wait until the log of a room was read, or is known to be out of reach."""
        if opened.settled is not None:
            await asyncio.shield(opened.settled)

    # RoomInbox

    def record(self, room: ToRoom, message: bytes) -> None:
        """Take a message of the log of a room."""
        opened = self._rooms.get((room.namespace, room.id))
        if opened is None:
            return
        try:
            record = unpack_record(message)
            kept = self._bodies.read(opened.channel, record) if record.offset else None
        except (InvalidMessage, InvalidPayload) as error:
            self._native.note_unreadable(error)
            return
        if self._apply(opened, opened.timeline.take(record.epoch, kept)) >= LARGE_FANOUT:
            self._times.records_came()

    def deliver_unplaced(
        self, room: ToRoom, message: EncodedMessage, excluded: Excluded | None, place: LogPlace | None
    ) -> bool:
        """Deliver a message that did not come from the log of its room, unless that has brought it too.

        No position of the room is good for a recovery then, until a new epoch begins. Return False if nothing was done.
        """
        opened = self._rooms.get((room.namespace, room.id))
        if opened is None:
            return False
        if place is not None and not opened.timeline.take_unplaced(place.origin, place.number):
            return False
        opened.timeline.void()
        self._clients.deliver(room, message, excluded)
        return True

    # Reading

    def holder_changed(self, holder: str) -> None:
        """Read what is to be read of logs that can be reached again; while they could not, something may have come."""
        held = self._held_by(holder)
        if not held:
            return
        if not self._log.is_available(self._log_of(held[0].room)):
            self._lose_holder(holder, held)
            return
        self.compare()
        for opened in held:
            if opened.wants is not None:
                self._read_soon(opened)

    def _held_by(self, holder: str) -> list[OpenRoom]:
        return [each for each in self._rooms.values() if self._log.holder(self._log_of(each.room)) == holder]

    def _lose_holder(self, holder: str, held: Sequence[OpenRoom]) -> None:
        """Recover nobody in the rooms of a holder that can't be reached, and let joins wait for it for a while."""
        for opened in held:
            opened.lose_log()
        if (timer := self._timers.pop(holder, None)) is not None:
            timer.cancel()
        self._timers[holder] = asyncio.get_running_loop().call_later(JOIN_PATIENCE, self._settle_lost, holder)

    def _settle_lost(self, holder: str) -> None:
        del self._timers[holder]
        for opened in self._held_by(holder):
            if not self._log.is_available(self._log_of(opened.room)):
                opened.settle()

    def read_pending(self) -> None:
        """Read and compare again where that has failed."""
        self._comparison.start_again()
        for opened in self._rooms.values():
            if opened.wants is not None:
                self._read_soon(opened)

    def renewed(self, room: ToRoom) -> None:
        """Take note that an epoch has begun for which a room was void; it is no more once that epoch was read."""
        opened = self._rooms.get((room.namespace, room.id))
        if opened is not None and not self._is_void(room):  # for messages of other nodes
            self._apply(opened, opened.timeline.renew())

    async def catch_up(self, room: ToRoom) -> None:
        """Read the log of a room, if it is open, so that its members miss nothing when another epoch begins."""
        opened = self._rooms.get((room.namespace, room.id))
        if opened is None:
            return
        if opened.wants is None:
            position = opened.timeline.position
            self._expect(opened, 0 if position is None else position.offset)
        if opened.reading and opened.task is not None:
            await asyncio.wait({opened.task})

    def _read_soon(self, opened: OpenRoom) -> None:
        if not self._log.is_available(self._log_of(opened.room)):
            opened.settle()
        elif not opened.reading:
            opened.reading = True
            opened.task = self._tasks.start(self._read(opened), "crosswire read of a room's log")

    async def _read(self, opened: OpenRoom) -> None:
        try:
            while opened.wants is not None and self._is_open(opened):
                with suppress(BusUnavailable):  # it was reported; what the log has can be read all the same
                    await self._port.wait_listening(opened.channel)
                async with self._reads:
                    after = opened.wants
                    log = self._log_of(opened.room)
                    self._prepare(opened.room)
                    opened.timeline.begin_read()
                    tail = await self._log.read(log, after)
                opened.wants = None
                if self._is_open(opened):  # else whoever is in the room now gets its messages from another timeline
                    self._take_tail(opened, tail)
        except BusUnavailable as error:
            self._warnings.warn("read", "the log of a room can't be read, and is read again later: %s", error)
        finally:
            opened.reading = False
            opened.settle()

    def _is_open(self, opened: OpenRoom) -> bool:
        return self._rooms.get((opened.room.namespace, opened.room.id)) is opened

    def _take_tail(self, opened: OpenRoom, tail: Tail) -> None:
        kept = list(self._readable(opened.channel, tail.records))
        begins = opened.had_members and not opened.timeline.is_loaded
        if begins:
            age = environment.monotonic() - opened.since + BEGINNING
            for each in kept:
                if each.time >= tail.now - age * 1000:  # its members have not heard it, as they had no log before
                    opened.timeline.take(tail.last.epoch, each)
        offset = tail.now / 1000 - environment.wall_time()
        change = opened.timeline.load(tail.last, tail.settled, offset, kept)
        if not self._log.is_available(self._log_of(opened.room)):  # it was lost just behind its answer
            opened.timeline.lose_log()
        if begins and change.lost is None:
            self._clients.room_changed(opened.room, _before(opened.timeline, change), None)
        self._apply(opened, change)

    def _readable(self, channel: bytes, records: Sequence[LogRecord]) -> Iterator[Kept]:
        for record in records:
            try:
                yield self._bodies.read(channel, record)
            except (InvalidMessage, InvalidPayload) as error:
                self._native.note_unreadable(error)

    def _apply(self, opened: OpenRoom, change: Change) -> int:
        """Do what a timeline says; return how many clients have got its last message."""
        reached = 0
        for run in change.before:
            self._clients.room_changed(opened.room, None, change.lost)
            for kept in run:
                self._clients.deliver(opened.room, kept.message, kept.excluded)
        if change.lost is not None:
            if change.lost == TRIMMED:
                self._port.report_loss(opened.channel, opened.since)
            self._clients.room_changed(opened.room, change.at, change.lost)
        for kept in change.ready:
            reached = self._clients.deliver(opened.room, kept.message, kept.excluded)
        if change.voids:
            self._voided(opened.room)
        if change.needs is not None:
            opened.wants = change.needs
            self._read_soon(opened)
        return reached

    # Comparing

    def compare(self) -> None:
        """Compare the last positions of all rooms with those of their logs, and read where something is missing."""
        self._comparison.start()

    def _settle_unreachable(self, opened: OpenRoom, holder: str) -> None:
        """Let joins wait no more for a log that can't be reached, unless a timer does so in a moment."""
        if holder not in self._timers:
            opened.settle()

    def _catch_up(self, opened: OpenRoom, last: LogPosition | None) -> None:
        """Read the log of a room if its last message was not heard here."""
        position = opened.timeline.position
        if opened.wants is not None or not opened.timeline.is_loaded:
            self._read_soon(opened)
        elif last is None or position is None or position.epoch != last.epoch:
            self._expect(opened, 0)
        elif position.offset < last.offset:
            self._expect(opened, position.offset)
        else:
            opened.since = environment.monotonic()
            if self._log.is_available(self._log_of(opened.room)):
                opened.timeline.confirm()
                opened.settle()

    def _expect(self, opened: OpenRoom, after: int) -> None:
        opened.timeline.expect_load(after)
        opened.wants = after
        self._read_soon(opened)


def _before(timeline: Timeline, change: Change) -> LogPosition | None:
    """Return the position before the messages of a change."""
    position = timeline.position
    if position is None or not change.ready:
        return position
    return LogPosition(position.epoch, change.ready[0].offset - 1)
