"""The logs of rooms in the Redis of a bus, each of which holds the logs of some rooms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from crosswire.cluster.log.interface import Append, AppendFailure, LogEvents, RoomLog, Tail
from crosswire.cluster.redis.choice import HashChoice
from crosswire.cluster.redis.endpoint import Endpoint, ProbeTiming
from crosswire.cluster.redis.endpoints import CLOSE_TIMEOUT, START_TIMEOUT, Endpoints
from crosswire.cluster.redis.log.holder import Holder
from crosswire.cluster.redis.log.moved_logs import remove_moved_logs
from crosswire.cluster.redis.log.scripts import MAX_READ, Commands
from crosswire.core.log_records import LogRecord, unpack_sent
from crosswire.core.positions import LogPosition
from crosswire.errors import BusUnavailable, ConfigError, InvalidMessage
from crosswire.runtime import environment
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.loop_thread import running_loop
from crosswire.runtime.throttled_warnings import ThrottledWarnings

_SEED_SIZE = 16
"""Random bytes of which the names of epochs are made."""
_NEWEST = 2**53 - 1
"""An offset behind all others."""
_RESTARTS = 5
"""Number of times that a read in several parts begins anew as the epoch has changed meanwhile."""

logger = get_logger("crosswire.redis")


class RedisLog:
    """A ``Log`` over the Redis of a bus. Each room has one that holds its log: the first in a ranking of all of them.

    Args:
        endpoints: the Redis in use.
        prefix: the beginning of the names of all keys and channels.
        timing: of heartbeats.
        events: called when a holder can be reached, or can't, and when there are others.
    """

    def __init__(self, endpoints: Endpoints, prefix: str, timing: ProbeTiming, events: LogEvents) -> None:
        self._endpoints = endpoints
        self._prefix = prefix.encode()
        self._timing = timing
        self._events = events
        self._holders: dict[str, Holder] = {}
        self._tasks: dict[str, BackgroundTasks] = {}
        self._closing = BackgroundTasks()
        self._unswept: dict[str, None] = {}  # the holders that may have logs of rooms that have moved
        self._ranked: tuple[str, ...] = ()
        self._choice: HashChoice[Holder] = HashChoice(1)
        self._only: Holder | None = None  # if there is but one, nothing has to be chosen for each message
        self._changed = asyncio.Event()
        self._namespaces: Mapping[str, tuple[int, float]] = {}
        self._started = False
        self._warnings = ThrottledWarnings(logger)

    async def start(self) -> None:
        """Connect to all Redis in use; wait for those that work, for two seconds at most. Another call waits too.

        Raises:
            ConfigError: a Redis refuses what the log needs.
        """
        if not self._started:
            self._started = True
            self._update()
            self._endpoints.watch(self._endpoints_changed)
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while self._started and self._awaited() and self._refusal() is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass  # it connects in the background
        if (refused := self._refusal()) is not None:
            await self.stop()
            raise ConfigError(f"{refused}. Check its ACL: docs/security.md says what history needs")

    async def stop(self) -> None:
        self._started = False
        self._changed.set()
        self._endpoints.watch(None)
        for id in list(self._holders):
            self._closing.start(self._close(id), "crosswire log close")
        try:
            await self._closing.wait(2 * CLOSE_TIMEOUT)
        finally:  # a cancelled stop does not wait, but disconnects
            await self._closing.cancel()

    def holder(self, log: RoomLog) -> str:
        """Return the id of the Redis that holds a log; empty before the start."""
        return holder.id if (holder := self._holder(log)) is not None else ""

    def is_available(self, log: RoomLog) -> bool:
        return (holder := self._only or self._holder(log)) is not None and holder.is_available

    def append(self, append: Append) -> None:
        holder = self._only or self._holder(append.log)
        if holder is not None and holder.is_available:
            holder.append(append)
        else:
            running_loop().call_soon(append.failed, AppendFailure.LOST, "its Redis can't be reached")

    async def read(self, log: RoomLog, after: int = 0, *, limit: int | None = None) -> Tail:
        wanted = log.size if limit is None else limit
        records: list[LogRecord] = []
        for _ in range(_RESTARTS):
            page = await self._page(log, b"+", after, wanted)
            records = list(page.records)
            while page.is_cut and len(records) < wanted:
                page = await self._page(log, b"+", records[-1].offset, wanted - len(records))
                if page.last.epoch != records[-1].epoch:
                    break
                if page.records and page.records[0].offset != records[-1].offset + 1:
                    records.clear()  # what follows them was trimmed meanwhile
                records += page.records
            else:
                return Tail(page.last, page.settled, page.now, records)
        raise BusUnavailable("the log of a room begins again and again while it is read")

    async def read_before(self, log: RoomLog, before: int | None, limit: int) -> Tail:
        records: list[LogRecord] = []
        for _ in range(_RESTARTS):
            page = await self._page(log, b"-", _NEWEST if before is None else before, limit)
            records = list(page.records)
            while page.is_cut and len(records) < limit:
                page = await self._page(log, b"-", records[-1].offset, limit - len(records))
                if page.last.epoch != records[-1].epoch:
                    break
                records += page.records
            else:
                return Tail(page.last, page.settled, page.now, records[::-1])
        raise BusUnavailable("the log of a room begins again and again while it is read")

    async def last_positions(self, logs: Sequence[RoomLog]) -> Sequence[LogPosition | None]:
        if not logs:
            return []
        holder = self._require(logs[0])
        found = await holder.read(lambda _is_fresh: holder.commands.last_positions(logs))
        pairs = zip(found[::2], found[1::2], strict=True)
        return [None if epoch is None else LogPosition(epoch.decode(), last) for epoch, last in pairs]

    def announce(self, namespaces: Mapping[str, tuple[int, float]]) -> None:
        self._namespaces = namespaces
        for id in self._holders:
            self._announce_on(id)

    async def _page(self, log: RoomLog, direction: bytes, offset: int, limit: int) -> Page:
        """Read so many messages as one command brings."""
        holder = self._require(log)
        encode = partial(holder.commands.read, log, direction, offset, limit)
        reply = await holder.read(lambda is_fresh: encode(is_fresh=is_fresh))
        return read_page(reply, partial(self._warnings.warn, "entry", "a message of a room can't be read: %s"))

    # Holders

    def _holder(self, log: RoomLog) -> Holder | None:
        return self._choice.choose(log.channel)[0] if self._ranked else None

    def _require(self, log: RoomLog) -> Holder:
        if (holder := self._holder(log)) is None or not holder.is_available:
            raise BusUnavailable("the Redis that keeps the messages of a room can't be reached")
        return holder

    def _endpoints_changed(self) -> None:
        """Have a holder for each Redis in use; messages are appended to those that are not about to be removed."""
        before = self._ranked
        self._update()
        if before and before != self._ranked:
            self._events.logs_moved()
            self.announce(self._namespaces)
            self._unswept = dict.fromkeys(self._holders)
            for id in self._holders:
                self._remove_moved_soon(id)

    def _remove_moved_soon(self, id: str) -> None:
        """Remove the logs of rooms that have moved from a holder, now or as soon as it can be reached."""
        holder = self._holders[id]
        if id in self._unswept and holder.is_available:
            self._tasks[id].start(self._remove_moved(holder), "crosswire removal of moved logs")

    async def _remove_moved(self, holder: Holder) -> None:
        ranked = self._ranked

        def is_held(channel: bytes) -> bool:
            return bool(self._ranked) and self._choice.choose(channel)[0] is holder

        try:
            await remove_moved_logs(holder.ask, self._prefix, is_held)
            if ranked == self._ranked:
                self._unswept.pop(holder.id, None)
        except BusUnavailable as error:
            text = (
                "logs of rooms that have moved stay in %s, and are wrong if the rooms come back before they expire: %s"
            )
            self._warnings.warn("moved", text, holder.id, error)

    def _update(self) -> None:
        used = {endpoint.id: endpoint for endpoint in self._endpoints.used}
        for id, endpoint in used.items():
            if id not in self._holders:
                self._open(endpoint)
        self._use(sorted(id for id, endpoint in used.items() if not endpoint.retired))
        for id in self._holders.keys() - used.keys():
            self._closing.start(self._close(id), "crosswire log close")

    def _use(self, ids: Sequence[str]) -> None:
        """Choose among these holders from now on."""
        self._ranked = tuple(ids)
        self._choice.use([self._holders[id] for id in ids])
        self._only = self._holders[ids[0]] if len(ids) == 1 else None

    def _open(self, endpoint: Endpoint) -> None:
        commands = Commands(self._prefix, environment.urandom(_SEED_SIZE))
        dial = partial(endpoint.dialer.open, "log")
        shown, timing = endpoint.address.shown, self._timing
        holder = Holder(endpoint.id, shown, dial, commands, timing.interval, timing.timeout, self._holder_changed)
        self._holders[endpoint.id] = holder
        tasks = self._tasks[endpoint.id] = BackgroundTasks()
        tasks.start(holder.run(), f"crosswire log {shown}")

    async def _close(self, id: str) -> None:
        """Disconnect from a Redis, when what was sent is answered or a short while has passed."""
        holder, tasks = self._holders.pop(id, None), self._tasks.pop(id, None)
        if holder is None or tasks is None:  # another call was faster
            return
        if id in self._ranked:
            self._use([each for each in self._ranked if each != id])
        try:
            await tasks.cancel()
        finally:
            await holder.close(CLOSE_TIMEOUT)

    def _holder_changed(self, id: str) -> None:
        self._changed.set()
        if id in self._holders:
            self._remove_moved_soon(id)
        if id in self._ranked:
            self._announce_on(id)
            self._events.holder_changed(id)

    def _announce_on(self, id: str) -> None:
        """Note for emitters on one Redis what they have to know, if it can be reached."""
        holder = self._holders[id]
        if self._namespaces and holder.is_available:
            self._tasks[id].start(self._announce(holder), "crosswire log announcement")

    async def _announce(self, holder: Holder) -> None:
        try:
            await holder.read(lambda _is_fresh: holder.commands.announce(self._namespaces, self._ranked))
        except BusUnavailable as error:
            self._warnings.warn("announce", "emitters are not told which rooms keep history: %s", error)

    def _awaited(self) -> bool:
        """Return whether a Redis that works is not connected for the logs yet."""
        return any(not self._holders[each.id].is_available for each in self._endpoints.healthy)

    def _refusal(self) -> str | None:
        """Return why a Redis refuses this node; None if none does."""
        for id, holder in self._holders.items():
            if holder.denied is not None:
                return f"{id} can't keep the history of rooms: {holder.denied.rstrip('.')}"
        return None


class Page(NamedTuple):
    """The part of a log that one command has read.

    Attributes:
        last, settled, now: as of a :class:`Tail`.
        records: the messages, in the order in which they were read.
        is_cut: whether there may be more.
    """

    last: LogPosition
    settled: int
    now: int
    records: Sequence[LogRecord]
    is_cut: bool


def read_page(reply: Sequence[Any], unreadable: Callable[[Exception], object]) -> Page:
    """Read the reply to a read; ``unreadable`` takes the error of each message that can't be read and is left out."""
    epoch, last, settled, now, *entries = reply
    position = LogPosition(epoch.decode(), last)
    records, size = list[LogRecord](), 0
    for id, sent in zip(entries[::2], entries[1::2], strict=True):
        size += len(sent)
        try:
            records.append(_record(position.epoch, id, sent))
        except (InvalidMessage, ValueError) as error:
            unreadable(error)
    return Page(position, settled, now, records, bool(records) and size >= MAX_READ)


def _record(epoch: str, id: bytes, sent: bytes) -> LogRecord:
    offset, time = map(int, id.split(b"-"))
    return unpack_sent(epoch, offset, time, sent)
