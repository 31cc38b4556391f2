"""The logs of rooms on a bus in memory: for tests, and for a node that is alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from string import ascii_letters, digits

from crosswire.cluster.log.interface import Append, AppendFailure, LogEvents, RoomLog, Tail
from crosswire.cluster.log.memory_rooms import MemoryRooms
from crosswire.core.positions import EPOCH_LENGTH, LogPosition
from crosswire.errors import BusUnavailable
from crosswire.runtime import environment
from crosswire.runtime.loop_thread import running_loop

HOLDER = "memory"
"""The name of the holder of all logs of a bus in memory."""
_RUN = "memory"
"""The run of the holder, which ends with the process."""
_LETTERS = digits + ascii_letters


def new_epoch() -> str:
    """Return a random name for an epoch."""
    return "".join(_LETTERS[int(environment.random() * len(_LETTERS))] for _ in range(EPOCH_LENGTH))


class MemoryLog:
    """A ``Log`` over :class:`MemoryRooms`, which the nodes of a process share.

    Args:
        rooms: the logs.
        publish: takes the channel of a room and a record, and sends it to all that listen, in a later turn.
        events: called when the log is there, and when it is gone.
    """

    def __init__(self, rooms: MemoryRooms, publish: Callable[[bytes, bytes], None], events: LogEvents) -> None:
        self._rooms = rooms
        self._publish = publish
        self._events = events
        self._started = False

    async def start(self) -> None:
        if not self._started:
            self._started = True
            self._events.holder_changed(HOLDER)

    async def stop(self) -> None:
        self._started = False

    def holder(self, log: RoomLog) -> str:
        return HOLDER

    def is_available(self, log: RoomLog) -> bool:
        return self._started

    def append(self, append: Append) -> None:
        running_loop().call_soon(self._carry_out if self._started else _fail, append)

    def announce(self, namespaces: Mapping[str, tuple[int, float]]) -> None:
        """Tell nobody: there are only nodes in this process."""

    async def read(self, log: RoomLog, after: int = 0, *, limit: int | None = None) -> Tail:
        self._require_started()
        tail, records = self._rooms.read(log, _RUN, _now(), after, limit)
        self._publish_all(log, records)
        return tail

    async def read_before(self, log: RoomLog, before: int | None, limit: int) -> Tail:
        self._require_started()
        tail, records = self._rooms.read_before(log, _RUN, _now(), before, limit)
        self._publish_all(log, records)
        return tail

    async def last_positions(self, logs: Sequence[RoomLog]) -> Sequence[LogPosition | None]:
        self._require_started()
        now = _now()
        return [self._rooms.last_position(log, _RUN, now) for log in logs]

    def _carry_out(self, append: Append) -> None:
        positions, records = self._rooms.append(append, _RUN, _now())
        self._publish_all(append.log, records)
        if positions is None:
            append.failed(AppendFailure.REFUSED, "the message before it is not kept")
        else:
            append.kept(positions)

    def _publish_all(self, log: RoomLog, records: Sequence[bytes]) -> None:
        for record in records:
            self._publish(log.channel, record)

    def _require_started(self) -> None:
        if not self._started:
            raise BusUnavailable("the log of rooms is not open: the node has not started, or stops")


def _now() -> int:
    return int(environment.wall_time() * 1000)


def _fail(append: Append) -> None:
    append.failed(AppendFailure.LOST, "the log of rooms is not open")
