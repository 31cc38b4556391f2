"""The logs of rooms in memory: the same as the script does within a Redis.

Nothing here waits or reads a clock, so that simulations and tests can use it as their model of a log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from crosswire.cluster.log.interface import Append, AppendedMessage, RoomLog, Tail
from crosswire.cluster.log.lifetimes import ID_LIFE, log_life, milliseconds
from crosswire.core.log_records import LogRecord, pack_record, pack_sender
from crosswire.core.positions import LogPosition

SWEPT = 4
"""Number of logs that each use of a log looks at, and of ids for each message, to remove those that are too old."""
_NO_SENDER = pack_sender(bytes(8), 0)
"""Sender's part of a record that says that a reader has begun an epoch."""


class Appended(NamedTuple):
    """Positions and records of an append that was carried out.

    Attributes:
        positions: of the messages; None if they were refused, as the message before them is not kept.
        records: to be published, in their order.
    """

    positions: Sequence[LogPosition] | None
    records: Sequence[bytes]


@dataclass(slots=True)
class _Room:
    """State of one run of the log of a room; see the hash of a room in ``cluster/redis/log/lua/common.lua``."""

    epoch: str
    run: str
    begun_by: bytes
    settles: int
    numbers: dict[bytes, tuple[int, int]]
    last: int = 0
    settled: int = 0
    expires: int = 0
    kept: deque[LogRecord] = field(default_factory=deque)


class MemoryRooms:
    """The logs of all rooms of one bus in memory.

    Times are milliseconds since 1970. A run names one life of what holds the logs, such as the process of a Redis: to
    the next one, everything here is an older state.

    Args:
        new_epoch: makes the name of an epoch.
    """

    def __init__(self, new_epoch: Callable[[], str]) -> None:
        self._new_epoch = new_epoch
        self._rooms: dict[bytes, _Room] = {}  # by the room's channel
        self._ids: dict[tuple[bytes, str], tuple[LogPosition, int]] = {}

    def __len__(self) -> int:
        return len(self._rooms)

    def clear(self) -> None:
        """Lose everything, as a Redis that was killed."""
        self._rooms.clear()
        self._ids.clear()

    # Appending

    def append(self, append: Append, run: str, now: int) -> Appended:
        """Keep messages, and return their positions and what has to be published."""
        self._sweep(now, SWEPT * max(len(append.messages), 1))
        log, records = append.log, list[bytes]()
        room = self._find(log, run, now)
        stored = 0 if room is None else room.numbers.get(append.origin, (0, 0))[0]
        if append.previous > stored:
            return Appended(None, ())
        begun_by = _begun_by(append)
        if room is None or (append.new_epoch and (not begun_by or room.begun_by != begun_by)):
            numbers = {} if room is None else room.numbers  # messages that this run has kept are not kept again
            settles = now + milliseconds(append.settling) if append.settling else 0
            room = self._begin(log, _Room(self._new_epoch(), run, begun_by, settles, numbers))
            records.append(pack_record(room.epoch, 0, now, pack_sender(append.origin, 0)))
        positions = [self._keep(room, append, message, now, records) for message in append.messages]
        self._tend(room, log, now)
        return Appended(positions, records)

    def _keep(
        self, room: _Room, append: Append, message: AppendedMessage, now: int, records: list[bytes]
    ) -> LogPosition:
        key = None if message.id is None else (append.log.channel, message.id)
        is_new = message.number > room.numbers.get(append.origin, (0, 0))[0]
        if is_new:
            room.numbers[append.origin] = message.number, now
        if key is not None and (known := self._ids.pop(key, None)) is not None and now < known[1]:
            self._ids[key] = known
            return known[0]
        if not is_new:
            return LogPosition(room.epoch, room.last)
        room.last += 1
        if room.settles and now >= room.settles:
            room.settles, room.settled = 0, room.last
        position = LogPosition(room.epoch, room.last)
        record = LogRecord(room.epoch, room.last, now, append.origin, message.number, message.body)
        room.kept.append(record)
        if key is not None:
            self._ids[key] = position, now + ID_LIFE
        sent = pack_sender(append.origin, message.number) + message.body
        records.append(pack_record(room.epoch, room.last, now, sent))
        return position

    # Reading

    def read(
        self, log: RoomLog, run: str, now: int, after: int = 0, limit: int | None = None
    ) -> tuple[Tail, Sequence[bytes]]:
        """Return the messages after an offset, the oldest first, and what has to be published."""
        room, records = self._open(log, run, now)
        found = islice((each for each in room.kept if each.offset > after), limit)
        return _tail(room, now, tuple(found)), records

    def read_before(
        self, log: RoomLog, run: str, now: int, before: int | None, limit: int
    ) -> tuple[Tail, Sequence[bytes]]:
        """Return the last messages before an offset, the newest last, and what has to be published."""
        room, records = self._open(log, run, now)
        found = [each for each in room.kept if before is None or each.offset < before]
        return _tail(room, now, tuple(found[-limit:]) if limit else ()), records

    def last_position(self, log: RoomLog, run: str, now: int) -> LogPosition | None:
        """Return the last position of a log; None if there is none of this run."""
        self._sweep(now)
        if (room := self._find(log, run, now)) is None:
            return None
        self._tend(room, log, now)
        return LogPosition(room.epoch, room.last)

    def _open(self, log: RoomLog, run: str, now: int) -> tuple[_Room, Sequence[bytes]]:
        """Return the log, and the record that says that its epoch has begun, if there was none."""
        self._sweep(now)
        records: Sequence[bytes] = ()
        if (room := self._find(log, run, now)) is None:
            room = self._begin(log, _Room(self._new_epoch(), run, b"", 0, {}))
            records = (pack_record(room.epoch, 0, now, _NO_SENDER),)
        self._tend(room, log, now)
        return room, records

    # Life

    def _find(self, log: RoomLog, run: str, now: int) -> _Room | None:
        room = self._rooms.get(log.channel)
        return room if room is not None and room.run == run and now < room.expires else None

    def _begin(self, log: RoomLog, room: _Room) -> _Room:
        self._rooms[log.channel] = room
        return room

    def _tend(self, room: _Room, log: RoomLog, now: int) -> None:
        """Remove what is too much or too old, and put off the end of the log."""
        ttl, kept = milliseconds(log.ttl), room.kept
        room.expires = now + log_life(ttl)
        while kept and (len(kept) > log.size or kept[0].time <= now - ttl):
            kept.popleft()

    def _sweep(self, now: int, ids: int = SWEPT) -> None:
        """Forget ids, senders and logs that were not used for long: a few of them at each use of any log."""
        for key, (position, expires) in list(islice(self._ids.items(), ids)):
            del self._ids[key]
            if now < expires:
                self._ids[key] = position, expires  # behind the others
        for channel in list(islice(self._rooms, SWEPT)):
            room = self._rooms.pop(channel)
            if now < room.expires:
                self._rooms[channel] = room  # behind the others
                for origin, (_, time) in list(islice(room.numbers.items(), SWEPT)):
                    number = room.numbers.pop(origin)
                    if now - time < ID_LIFE:
                        room.numbers[origin] = number


def _begun_by(append: Append) -> bytes:
    """Return a name for the messages of an append: sent again, they begin no second epoch."""
    if not append.messages:
        return b""
    return pack_sender(append.origin, append.messages[0].number) + b"%d" % append.messages[-1].number


def _tail(room: _Room, now: int, records: Sequence[LogRecord]) -> Tail:
    settled = room.last + 1 if room.settles else room.settled
    return Tail(LogPosition(room.epoch, room.last), settled, now, records)
