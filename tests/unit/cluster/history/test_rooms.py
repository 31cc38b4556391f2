"""The rooms that are open, with a log whose reads a test answers."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import msgspec
import pytest

from crosswire.cluster.clients import Clients
from crosswire.cluster.history.append_times import AppendTimes
from crosswire.cluster.history.bodies import Bodies
from crosswire.cluster.history.rooms import LARGE_FANOUT, OpenRooms
from crosswire.cluster.log.interface import Log, RoomLog, Tail
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.core.formats import EncodedMessage
from crosswire.core.log_records import LogRecord, pack_record, pack_sender
from crosswire.core.positions import LogPosition
from crosswire.core.targets import ToRoom
from crosswire.runtime.background_tasks import BackgroundTasks
from tests.support.aio import wait_until

ORIGIN = b"sender.."
ROOM = ToRoom("chat", "1")
CHANNEL = b"r:1"
EPOCH = "epoch000"


class Bench:
    """Open rooms, and stand-ins for what they use. A message has its number as payload."""

    def __init__(self) -> None:
        self.reads: list[asyncio.Future[Tail]] = []
        self.delivered: list[EncodedMessage] = []
        self.is_void = False  # for the messages of some node
        self.told: list[tuple[int, str | None, str | None]] = []  # behind how many messages, and what
        self.bodies = Bodies(ORIGIN, ())
        self.times = AppendTimes()
        self.members = 1
        self.tasks = BackgroundTasks()
        self.rooms = OpenRooms(
            cast(NativeDialect, self),
            cast(OrderedPort, self),
            cast(Log, self),
            lambda room: RoomLog(room, CHANNEL, 100, 60.0),
            self.bodies,
            cast(Clients, self),
            self.tasks,
            lambda _room: None,
            lambda _room: None,
            lambda _room: self.is_void,
            lambda *_message: None,
            self.times,
        )

    def subscribe_kept_room(self, room: ToRoom, inbox: object) -> None: ...

    async def wait_listening(self, channel: bytes) -> None: ...

    def is_available(self, log: RoomLog) -> bool:
        return True

    async def read(self, log: RoomLog, after: int = 0) -> Tail:
        self.reads.append(asyncio.get_running_loop().create_future())
        return await self.reads[-1]

    def deliver(self, room: ToRoom, message: EncodedMessage, excluded: Any) -> int:
        self.delivered.append(message)
        return self.members

    def room_changed(self, room: ToRoom, at: LogPosition | None, reason: str | None) -> None:
        self.told.append((len(self.delivered), None if at is None else str(at), reason))

    def record(self, offset: int, epoch: str = EPOCH, number: int = 0) -> LogRecord:
        number = number or offset
        body = self.bodies.make(CHANNEL, number, EncodedMessage(b'{"event":"said","payload":%d}' % number), None)
        return LogRecord(epoch, offset, 1000, ORIGIN, number, body)

    def hear(self, offset: int, epoch: str = EPOCH, number: int = 0) -> None:
        record = self.record(offset, epoch, number)
        self.rooms.record(ROOM, pack_record(epoch, offset, 1000, pack_sender(ORIGIN, record.number) + record.body))

    def tail(self, last: int, epoch: str = EPOCH, number: int = 0) -> Tail:
        records = [self.record(offset, epoch, number + offset) for offset in range(1, last + 1)]
        return Tail(LogPosition(epoch, last), 0, 1000, records)


async def test_a_read_that_ends_when_its_room_was_closed_and_opened_again_delivers_nothing() -> None:
    bench = Bench()
    bench.rooms.open(ROOM)
    await wait_until(lambda: len(bench.reads) == 1)
    bench.hear(1)
    bench.rooms.close(ROOM.namespace, ROOM.id)
    bench.rooms.open(ROOM)
    await wait_until(lambda: len(bench.reads) == 2)
    bench.reads[1].set_result(bench.tail(1))
    opened = bench.rooms.get(ROOM.namespace, ROOM.id)
    await wait_until(lambda: opened is not None and opened.settled is None)

    bench.reads[0].set_result(bench.tail(1))
    await wait_until(lambda: not bench.tasks)
    assert bench.delivered == []


async def test_members_are_told_of_a_loss_before_messages_of_an_epoch_that_is_over_and_again_behind_them() -> None:
    bench = Bench()
    bench.rooms.open(ROOM)
    await wait_until(lambda: len(bench.reads) == 1)
    bench.reads[0].set_result(bench.tail(0))
    await wait_until(lambda: not bench.tasks)
    bench.hear(1)
    bench.hear(1, "epoch001", 5)
    bench.hear(2, "epoch001", 6)
    await wait_until(lambda: len(bench.reads) == 2)
    bench.reads[1].set_result(bench.tail(1, "epoch002", 8))
    await wait_until(lambda: not bench.tasks)
    assert [msgspec.json.decode(each.json)["payload"] for each in bench.delivered] == [1, 5, 6, 9]
    assert bench.told == [(1, None, "epoch"), (3, "epoch002.0", "epoch")]


@pytest.mark.parametrize("waits", [False, True])
async def test_what_is_sent_waits_for_the_fan_out_of_a_record_in_a_large_room(waits: bool) -> None:
    bench = Bench()
    bench.rooms.open(ROOM)
    await wait_until(lambda: len(bench.reads) == 1)
    bench.reads[0].set_result(bench.tail(0))
    await wait_until(lambda: not bench.tasks)
    seen: list[str] = []
    bench.times.flush = lambda: seen.append("append")
    bench.members = LARGE_FANOUT if waits else LARGE_FANOUT - 1
    bench.hear(1)
    bench.times.schedule()
    asyncio.get_running_loop().call_soon(seen.append, "turn")
    await wait_until(lambda: len(seen) == 2)
    assert seen == (["turn", "append"] if waits else ["append", "turn"])


async def test_a_room_for_which_an_epoch_has_begun_is_read_and_void_no_more_unless_it_is_for_another_node() -> None:
    bench = Bench()
    bench.rooms.open(ROOM)
    await wait_until(lambda: len(bench.reads) == 1)
    bench.reads[0].set_result(bench.tail(2))
    await wait_until(lambda: not bench.tasks)
    opened = bench.rooms.get(ROOM.namespace, ROOM.id)
    assert opened is not None
    opened.timeline.void()
    bench.is_void = True
    bench.rooms.renewed(ROOM)
    assert not bench.tasks
    bench.is_void = False
    bench.rooms.renewed(ROOM)
    await wait_until(lambda: len(bench.reads) == 2)
    bench.reads[1].set_result(bench.tail(2))
    await wait_until(lambda: not bench.tasks)
    assert bench.told == [(0, f"{EPOCH}.2", "epoch")]
    assert opened.timeline.position == LogPosition(EPOCH, 2)
