"""The logs of rooms in memory, whose time and run the tests give."""

from __future__ import annotations

from itertools import count

import pytest

from crosswire.cluster.log.interface import Append, NewMessage, RoomLog
from crosswire.cluster.log.lifetimes import ID_LIFE, IDLE_LIFE, log_life
from crosswire.cluster.log.memory_rooms import MemoryRooms
from crosswire.core.log_records import unpack_record
from crosswire.core.positions import LogPosition
from crosswire.core.targets import ToRoom

ORIGIN, OTHER = b"origin-1", b"origin-2"
RUN = "run"


@pytest.fixture
def rooms() -> MemoryRooms:
    numbers = count()
    return MemoryRooms(lambda: f"epoch{next(numbers):03}")


def room(id: str = "1", size: int = 100, ttl: float = 10.0) -> RoomLog:
    return RoomLog(ToRoom("chat", id), f"r:{id}".encode(), size, ttl)


def appending(
    log: RoomLog,
    *numbers: int,
    previous: int = 0,
    new_epoch: bool = False,
    settling: float = 0.0,
    origin: bytes = ORIGIN,
    id: str | None = None,
) -> Append:
    messages = [NewMessage(number, b"%d" % number, id) for number in numbers]
    return Append(log, origin, previous, messages, new_epoch, settling, lambda _: None, lambda *_: None)


def offsets(rooms: MemoryRooms, log: RoomLog, now: int = 0, run: str = RUN) -> list[int]:
    return [record.offset for record in rooms.read(log, run, now)[0].records]


def test_an_append_gives_positions_and_the_records_to_publish(rooms: MemoryRooms) -> None:
    appended = rooms.append(appending(room(), 7, 8), RUN, 1000)
    assert appended.positions == [LogPosition("epoch000", 1), LogPosition("epoch000", 2)]
    begin, first, second = map(unpack_record, appended.records)
    assert (begin.epoch, begin.offset, begin.time, begin.origin, begin.body) == ("epoch000", 0, 1000, ORIGIN, b"")
    assert (first.offset, first.number, first.body) == (1, 7, b"7")
    assert (second.offset, second.time, second.origin) == (2, 1000, ORIGIN)


def test_another_run_begins_an_epoch_and_knows_no_numbers(rooms: MemoryRooms) -> None:
    rooms.append(appending(room(), 1), RUN, 0)
    assert rooms.last_position(room(), "later", 0) is None
    appended = rooms.append(appending(room(), 1), "later", 0)
    assert appended.positions == [LogPosition("epoch001", 1)]


def test_reading_in_another_run_begins_an_epoch_and_tells_everybody(rooms: MemoryRooms) -> None:
    rooms.append(appending(room(), 1), RUN, 0)
    tail, records = rooms.read(room(), "later", 0)
    assert tail.last == LogPosition("epoch001", 0)
    assert [unpack_record(record).offset for record in records] == [0]
    assert rooms.read(room(), "later", 0)[1] == ()


def test_messages_behind_one_that_was_not_kept_are_refused_and_nothing_changes(rooms: MemoryRooms) -> None:
    rooms.append(appending(room(), 1), RUN, 0)
    assert rooms.append(appending(room(), 3, previous=2, new_epoch=True), RUN, 0) == (None, ())
    assert rooms.last_position(room(), RUN, 0) == LogPosition("epoch000", 1)
    assert rooms.append(appending(room("new"), 3, previous=2), RUN, 0) == (None, ())
    assert rooms.last_position(room("new"), RUN, 0) is None


def test_a_settling_epoch_settles_with_the_first_message_after_the_time(rooms: MemoryRooms) -> None:
    rooms.append(appending(room(), 1, new_epoch=True, settling=3.0), RUN, 1000)
    rooms.append(appending(room(), 2), RUN, 3999)
    assert rooms.read(room(), RUN, 9000)[0].settled == 3
    rooms.append(appending(room(), 3, 4), RUN, 4000)
    assert rooms.read(room(), RUN, 9000)[0].settled == 3
    rooms.append(appending(room(), 5), RUN, 9000)
    assert rooms.read(room(), RUN, 9000)[0].settled == 3


def test_old_messages_are_trimmed_and_the_log_lives_longer_than_they(rooms: MemoryRooms) -> None:
    log = room(ttl=10.0)
    rooms.append(appending(log, 1), RUN, 0)
    rooms.append(appending(log, 2), RUN, 5000)
    assert offsets(rooms, log, 9_999) == [1, 2]
    assert offsets(rooms, log, 10_000) == [2]
    assert rooms.last_position(log, RUN, 10_000 + IDLE_LIFE) == LogPosition("epoch000", 2)
    assert rooms.last_position(log, RUN, 10_000 + IDLE_LIFE + log_life(10_000)) is None


def test_an_id_is_known_for_two_minutes(rooms: MemoryRooms) -> None:
    first = rooms.append(appending(room(), 1, id="x"), RUN, 0).positions
    assert rooms.append(appending(room(), 2, id="x"), RUN, ID_LIFE - 1).positions == first
    assert rooms.append(appending(room(), 3, id="x"), RUN, ID_LIFE).positions != first


def test_logs_ids_and_senders_that_nobody_uses_are_forgotten(rooms: MemoryRooms) -> None:
    for number in range(50):
        rooms.append(appending(room(f"{number}"), 1, id="x"), RUN, 0)
        rooms.append(appending(room("busy"), 1, origin=b"%08d" % number), RUN, 0)
    later = ID_LIFE + log_life(10_000)
    for number in range(30):
        rooms.append(appending(room("busy"), 2 + number, origin=OTHER), RUN, later)
    assert len(rooms) == 1
    assert not rooms._ids
    for number in range(30):
        rooms.append(appending(room("busy"), 40 + number, origin=OTHER), RUN, later)
    assert list(rooms._rooms[b"r:busy"].numbers) == [OTHER]


def test_old_ids_are_forgotten_where_many_are_appended_at_once(rooms: MemoryRooms) -> None:
    for turn in range(40):
        numbers = range(100 * turn + 1, 100 * turn + 101)
        messages = [NewMessage(number, b"", f"{number}") for number in numbers]
        append = Append(room(), ORIGIN, 0, messages, False, 0.0, lambda _: None, lambda *_: None)
        rooms.append(append, RUN, turn * ID_LIFE)
    assert len(rooms._ids) < 200


def test_everything_can_be_lost(rooms: MemoryRooms) -> None:
    rooms.append(appending(room(), 1, id="x"), RUN, 0)
    rooms.clear()
    assert len(rooms) == 0
    assert rooms.append(appending(room(), 1, id="x"), RUN, 0).positions == [LogPosition("epoch001", 1)]
