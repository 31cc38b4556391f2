"""History of rooms on one node that has logs: what is sent, what members hear, and what was said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from crosswire.cluster.clients import Clients
from crosswire.cluster.history.append_times import AppendTimes
from crosswire.cluster.history.appends import MAYBE_KEPT, NOT_KEPT, Appends
from crosswire.cluster.history.bodies import Bodies
from crosswire.cluster.history.declarations import HistoryOptions, KeptNamespaces
from crosswire.cluster.history.held_copies import Copy, HeldCopies
from crosswire.cluster.history.pages import read_page
from crosswire.cluster.history.past_log import PastLog
from crosswire.cluster.history.room_queue import Outgoing
from crosswire.cluster.history.rooms import OpenRooms
from crosswire.cluster.history.void_notices import VoidNotices
from crosswire.cluster.history.voids import NOBODY, VoidRooms
from crosswire.cluster.log.interface import Append, AppendFailure, Log, LogEvents, RoomLog
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.cluster.send_buffer import OVERHEAD
from crosswire.core.envelopes import LogPlace
from crosswire.core.formats import EncodedMessage
from crosswire.core.positions import LogPosition
from crosswire.core.settled_positions import SETTLING_TIME
from crosswire.core.targets import Excluded, ToRoom
from crosswire.errors import BusUnavailable
from crosswire.runtime import environment
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.log_records import get_logger
from crosswire.types import HistoryPage, Position

KEPT_TIMEOUT = 5.0
"""Seconds that a publish waits until its message is kept."""
MAX_REMEMBERED = 4_096
"""Rooms whose logs are remembered, as each message asks for one; beyond it, all are forgotten."""
MAX_PUBLISHES = 10_000
"""Publishes of one node that wait until their messages are kept; one more is refused."""
DRAIN_TIME = 0.5
"""Seconds for which a node that stops waits until its messages are kept."""
TICK = 0.5
"""Seconds between two looks at what is to be done again."""
YOUNG_EPOCH = SETTLING_TIME / 2
"""Seconds for which a new epoch that settles serves other nodes too: what they have sent past the log arrives before it
has settled."""
COMPARE_INTERVAL = 30.0
"""Seconds between two comparisons of all rooms with their logs."""

logger = get_logger("crosswire.history")


class NodeHistory:
    """The messages of rooms that keep history, on their way to the logs and from there; the ``LogEvents`` of the log.

    Args:
        kept: the options of the namespaces that keep history.
        port: the node's end of the bus.
        native: has the rooms' channels.
        clients: of the node.
        bodies: encodes and reads messages.
        voids: the rooms that are void.
        notices: tells other nodes of them.
        living: returns the names of the other nodes.
        sends_copies: returns whether each message is published on the bus too, where it is not lost with the log.
        tasks: where background tasks run.
        open_log: makes the log.

    Attributes:
        log: the logs of all rooms.
        rooms: those that have members here.
        appends: the messages on their way to the logs.
    """

    def __init__(
        self,
        kept: KeptNamespaces,
        port: OrderedPort,
        native: NativeDialect,
        clients: Clients,
        bodies: Bodies,
        voids: VoidRooms,
        notices: VoidNotices,
        living: Callable[[], Collection[str]],
        sends_copies: Callable[[], bool],
        tasks: BackgroundTasks,
        open_log: Callable[[LogEvents], Log],
    ) -> None:
        self._kept = kept
        self._port = port
        self._native = native
        self._bodies = bodies
        self._voids = voids
        self._living = living
        self._sends_copies = sends_copies
        self._tasks = tasks
        self._logs: dict[ToRoom, tuple[HistoryOptions, RoomLog]] = {}  # with the options of which each was made
        self._held = HeldCopies(lambda: port.bus_port.hold_time, self._look_at_copy)
        self._number = self._publishes = 0
        self._compared = environment.monotonic()
        self.log = open_log(self)
        self.announce()
        times = AppendTimes()
        self.rooms = OpenRooms(
            native,
            port,
            self.log,
            self.log_of,
            bodies,
            clients,
            tasks,
            self._prepare_read,
            self._voided,
            voids.__contains__,
            self._unplaced,
            times,
        )
        fallback = PastLog(
            port.origin, port, native, clients, self.rooms, bodies, voids, notices, living, self._ask_for_epoch
        )
        self.appends = Appends(port.origin, self.log, self.log_of, fallback, port.release, times)

    def log_of(self, room: ToRoom) -> RoomLog:
        """Return the log of a room, with the options that hold now."""
        options = self._kept[room.namespace]
        known = self._logs.get(room)
        if known is not None and known[0] is options:
            return known[1]
        if len(self._logs) >= MAX_REMEMBERED:
            self._logs.clear()
        log = RoomLog(room, self._native.room_channel(room.namespace, room.id), *options)
        self._logs[room] = options, log
        return log

    def open(self, room: ToRoom) -> None:
        """Listen to the log of a room that gets its first member.

        What was delivered here before the log could keep it is old: it would come behind newer messages.
        """
        self.rooms.open(room)
        opened = self.rooms.get(room.namespace, room.id)
        if opened is not None:
            for number in self.appends.delivered(room):
                opened.timeline.take_unplaced(self._port.origin, number)

    # Sending

    def send(self, room: ToRoom, message: EncodedMessage, excluded: Excluded | None) -> None:
        """Send a message to a room by way of its log. Never waits.

        Raises:
            BusUnavailable: too much waits already, and that is the policy.
        """
        outgoing = self._outgoing(room, message, excluded)
        if outgoing is None:
            self.appends.note_lost(room)  # nobody gets it, and nobody may be told that nothing is missing
            return
        self.appends.add(room, outgoing)
        if self._sends_copies():
            copy = self._bodies.copy(outgoing.number, message, excluded, waits=True)
            self._port.publish(self._native.room_channel(room.namespace, room.id), copy)

    async def publish(self, room: ToRoom, message: EncodedMessage, id: str | None) -> Position:
        """Send a message to a room by way of its log; return its position as soon as it is kept.

        Raises:
            BusUnavailable: it is not known to be kept within 5 seconds.
        """
        if self._publishes >= MAX_PUBLISHES:
            raise BusUnavailable(f"{MAX_PUBLISHES} messages wait already until they are kept: try again later")
        future: asyncio.Future[LogPosition] = asyncio.get_running_loop().create_future()
        outgoing = self._outgoing(room, message, None, id, future)
        if outgoing is None:
            raise BusUnavailable("too much waits already to be sent, so the message is not kept: try again later")
        self._publishes += 1
        try:
            self.appends.add(room, outgoing)
            async with asyncio.timeout(KEPT_TIMEOUT):
                return Position(str(await future))
        except TimeoutError:
            raise BusUnavailable(MAYBE_KEPT if outgoing.tried else NOT_KEPT) from None
        finally:
            self._publishes -= 1
            future.cancel()
            self.appends.withdraw(room, outgoing)

    def _outgoing(
        self,
        room: ToRoom,
        message: EncodedMessage,
        excluded: Excluded | None,
        id: str | None = None,
        position: asyncio.Future[LogPosition] | None = None,
    ) -> Outgoing | None:
        """Make a message for a log, and take its bytes of the send buffer; return None if there is no room."""
        self._number = number = self._number + 1
        opened = self.rooms.get(room.namespace, room.id)
        channel = self.log_of(room).channel if opened is None else opened.channel
        body = self._bodies.make(channel, number, message, excluded)
        size = len(channel) + len(body) + OVERHEAD
        if not self._port.reserve(size):
            return None
        outgoing = Outgoing(number, message, excluded, body, environment.monotonic(), size, id, position)
        if opened is not None:
            self._bodies.own.add(channel, outgoing)
        return outgoing

    async def page(self, room: ToRoom, before: LogPosition | None, limit: int) -> HistoryPage:
        """Return the last messages of a room, or those before a position.

        Raises:
            BusUnavailable: the log can't be read.
        """
        return await read_page(self.log, self.log_of(room), self._bodies, before, limit)

    def announce(self) -> None:
        """Tell programs that are no nodes which namespaces keep history."""
        self.log.announce(self._kept)

    # LogEvents

    def holder_changed(self, holder: str) -> None:
        """Append and read what waits for a log that can be reached again."""
        self.appends.holder_changed(holder)
        self.rooms.holder_changed(holder)

    def logs_moved(self) -> None:
        """Read the logs of all rooms again, as those of some begin anew elsewhere."""
        self.appends.logs_moved()
        self.rooms.compare()
        self._compared = environment.monotonic() - COMPARE_INTERVAL + 2 * SETTLING_TIME  # nodes may not know of it yet

    # Messages past the logs

    def _unplaced(
        self, room: ToRoom, message: EncodedMessage, excluded: Excluded | None, place: LogPlace | None
    ) -> None:
        """Take a message that did not come from the log of its room."""
        if place is not None and place.waits:
            self._held.hold(room, message, excluded, place)
        elif self.rooms.deliver_unplaced(room, message, excluded, place) and place is None:
            self._voids.note(room, NOBODY)  # the sender knows nothing of the log

    def _look_at_copy(self, copy: Copy) -> None:
        """Deliver a copy if the log has not brought the message."""
        if self.rooms.deliver_unplaced(copy.room, copy.message, copy.excluded, copy.place):
            self._voids.note(copy.room, NOBODY)

    def _voided(self, room: ToRoom) -> None:
        """Begin a new epoch, as members have heard messages of one that is over."""
        self.appends.note_void(room)

    def _prepare_read(self, room: ToRoom) -> None:
        """Let the epoch of a log that has moved begin as unsettled: some nodes may not know yet that it has."""
        settling = self.appends.settling
        if settling:
            origin = self._port.origin
            self.log.append(
                Append(self.log_of(room), origin, 0, (), False, settling, _ignore_positions, _ignore_failure)
            )

    def _ask_for_epoch(self, room: ToRoom, answer: Callable[[bool], None]) -> None:
        self._tasks.start(self._find_new_epoch(room, answer), "crosswire search for a new epoch")

    async def _find_new_epoch(self, room: ToRoom, answer: Callable[[bool], None]) -> None:
        """Find out whether an epoch has just begun: then positions of the next moments are not good either."""
        has_begun = False
        try:
            log = self.log_of(room)
            (last,) = await self.log.last_positions([log])
            if last is not None:  # else a read would begin an epoch by itself
                tail = await self.log.read(log, limit=1)
                # An epoch without messages may be as old as the one that is void here, and another would lose nothing.
                is_young = bool(tail.records) and tail.now - tail.records[0].time < YOUNG_EPOCH * 1000
                has_begun = is_young and tail.settled > tail.last.offset
            if last is not None and not has_begun:
                await self.rooms.catch_up(room)
        except BusUnavailable:
            pass  # it is asked again, as soon as the log can be reached
        finally:
            answer(has_begun)

    # In the background

    async def watch(self) -> None:
        """Do again what has failed, and compare the rooms with their logs twice a minute, until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            try:
                self._look()
            except Exception:  # must not end the task, or nothing would be done again
                logger.exception("looking after the rooms that keep history failed")

    def _look(self) -> None:
        self.rooms.read_pending()
        self._begin_epochs()
        now = environment.monotonic()
        if now - self._compared >= COMPARE_INTERVAL:
            self._compared = now
            self.rooms.compare()
            self.announce()

    def _begin_epochs(self) -> None:
        """Begin a new epoch in rooms that are void, and for which no other node does it."""
        living = self._living()
        for opened in self.rooms.all():
            if not opened.timeline.is_loaded:
                continue
            if opened.timeline.position is not None:  # another node has begun one
                self._voids.resolved(opened.room, living)
            elif opened.room not in self._voids:
                self._voids.note(opened.room, NOBODY)
        for room in self._voids.due(living, self._is_available):
            self.appends.begin_epoch(room)

    def _is_available(self, room: ToRoom) -> bool:
        return room.namespace in self._kept and self.log.is_available(self.log_of(room))

    async def stop(self) -> None:
        """Let messages get into the logs for a short while, deliver the rest past them, and disconnect.

        If this is cancelled, it skips the waiting.
        """
        try:
            try:
                await self.appends.finish(DRAIN_TIME)
            finally:
                await self.log.stop()
        finally:
            self.appends.close()
            self.rooms.clear()
            self._held.close()


def _ignore_positions(_positions: Sequence[LogPosition]) -> None:
    """Ignore that an epoch has begun: a read follows."""


def _ignore_failure(_failure: AppendFailure, _why: str) -> None:
    """Ignore that no epoch has begun: a read follows, and fails too."""
