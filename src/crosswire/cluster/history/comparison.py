"""Comparison of the rooms of a node with their logs: whether a room lacks messages that its log has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crosswire.cluster.history.open_room import OpenRoom
from crosswire.cluster.log.interface import Log, RoomLog
from crosswire.core.positions import LogPosition
from crosswire.core.targets import ToRoom
from crosswire.errors import BusUnavailable
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings

MAX_COMPARED = 256
"""Rooms whose last positions are asked for at once."""

logger = get_logger("crosswire.history")


class Comparison:
    """Asks logs for their last positions: one question for many rooms, one comparison at a time.

    Args:
        log: the logs.
        log_of: returns the log of a room.
        tasks: where the comparison runs.
        rooms: returns all rooms that are open.
        found: takes a room, and the last position of its log; None if there is no log of it.
        unreachable: takes a room whose log can't be reached, and the holder of that.
    """

    __slots__ = ("_again", "_found", "_log", "_log_of", "_rooms", "_running", "_tasks", "_unreachable", "_warnings")

    def __init__(
        self,
        log: Log,
        log_of: Callable[[ToRoom], RoomLog],
        tasks: BackgroundTasks,
        rooms: Callable[[], Sequence[OpenRoom]],
        found: Callable[[OpenRoom, LogPosition | None], None],
        unreachable: Callable[[OpenRoom, str], None],
    ) -> None:
        self._log = log
        self._log_of = log_of
        self._tasks = tasks
        self._rooms = rooms
        self._found = found
        self._unreachable = unreachable
        self._running = self._again = False
        self._warnings = ThrottledWarnings(logger)

    def start(self) -> None:
        """Compare all rooms now; if that is being done already, once more as soon as :meth:`start_again` is called."""
        self._again = self._running
        if not self._running and self._rooms():
            self._running = True
            self._tasks.start(self._compare(), "crosswire comparison with rooms' logs")

    def start_again(self) -> None:
        """Compare all rooms again if that has failed, or was asked for meanwhile."""
        if self._again:
            self.start()

    async def _compare(self) -> None:
        try:
            by_holder: dict[str, list[OpenRoom]] = {}
            for opened in self._rooms():
                log = self._log_of(opened.room)
                holder = self._log.holder(log)
                if self._log.is_available(log):
                    by_holder.setdefault(holder, []).append(opened)
                else:
                    self._unreachable(opened, holder)
            for rooms in by_holder.values():
                for start in range(0, len(rooms), MAX_COMPARED):
                    await self._compare_some(rooms[start : start + MAX_COMPARED])
        except BaseException:
            for opened in self._rooms():
                opened.settle()  # joins do not wait for a comparison that has failed
            raise
        finally:
            self._running = False

    async def _compare_some(self, rooms: Sequence[OpenRoom]) -> None:
        try:
            positions = await self._log.last_positions([self._log_of(opened.room) for opened in rooms])
        except BusUnavailable as error:
            self._again = True
            self._warnings.warn("compare", "the logs of rooms can't be compared, and are compared later: %s", error)
            for opened in rooms:
                opened.settle()
            return
        for opened, last in zip(rooms, positions, strict=True):
            self._found(opened, last)
