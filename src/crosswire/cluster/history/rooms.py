"""The rooms that keep history and have members on this node: their timelines, kept in step with the logs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from crosswire.cluster.clients import Clients
from crosswire.cluster.history.bodies import Bodies
from crosswire.cluster.log.interface import Log, RoomLog, Tail
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.core.audience import Excluded, ToRoom
from crosswire.core.formats import EncodedMessage
from crosswire.core.log_records import LogRecord, unpack_record
from crosswire.core.positions import LogPosition
from crosswire.core.timeline import Change, Kept, Timeline
from crosswire.errors import BusUnavailable, InvalidMessage, InvalidPayload
from crosswire.runtime import environment
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings

MAX_READS = 16
"""Reads of logs by one node at the same time; others wait for their turn."""
MAX_COMPARED = 256
"""Rooms whose last positions are asked for at once."""

logger = get_logger("crosswire.history")


class OpenRoom:
    """A room that keeps history and has members here, or is about to have some.

    Attributes:
        room: its name.
        channel: on which its log publishes.
        timeline: its last messages, in order.
        wants: offset after which the log is to be read; None if nothing has to be read.
        reading: whether a task reads the log.
        since: time of the monotonic clock, in seconds, at which nothing was missing.
        had_members: whether it had members when it began to keep history, who have no position.
        settled: where joins wait until the log was read, or can't be; None if they need not wait.
    """

    __slots__ = ("channel", "had_members", "reading", "room", "settled", "since", "timeline", "wants")

    def __init__(self, room: ToRoom, channel: bytes, log: RoomLog, *, had_members: bool) -> None:
        self.room = room
        self.channel = channel
        self.timeline = Timeline(log.size, log.ttl)
        self.wants: int | None = 0
        self.reading = False
        self.since = environment.monotonic()
        self.had_members = had_members
        self.settled: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()

    def settle(self) -> None:
        """Let joins wait no more."""
        settled, self.settled = self.settled, None
        if settled is not None and not settled.done():
            settled.set_result(None)


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
        settling: returns the seconds of an epoch that begins now whose positions are not good for a recovery.
        voided: called with a room some messages of which were delivered here although its log does not have them.
        is_void: whether messages of a room were delivered that its log does not have.
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
    ) -> None:
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
        self._rooms: dict[tuple[str, str], OpenRoom] = {}
        self._reads = asyncio.Semaphore(MAX_READS)
        self._comparing = False
        self._warnings = ThrottledWarnings(logger)

    def __len__(self) -> int:
        return len(self._rooms)

    def __iter__(self) -> Iterable[OpenRoom]:
        return iter(list(self._rooms.values()))
