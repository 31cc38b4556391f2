"""The rooms that are open, with a log whose reads a test answers."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from crosswire.cluster.clients import Clients
from crosswire.cluster.history.bodies import Bodies
from crosswire.cluster.history.rooms import OpenRooms
from crosswire.cluster.log.interface import Log, RoomLog, Tail
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.core.audience import ToRoom
from crosswire.core.formats import EncodedMessage
from crosswire.core.log_records import LogRecord, pack_record, pack_sender
from crosswire.core.positions import LogPosition
from crosswire.runtime.background_tasks import BackgroundTasks
from tests.support.aio import wait_until

ORIGIN = b"sender.."
ROOM = ToRoom("chat", "1")
CHANNEL = b"r:1"
EPOCH = "epoch000"


class Bench:
    """Open rooms, and stand-ins for what they use."""

    def __init__(self) -> None:
        self.reads: list[asyncio.Future[Tail]] = []
        self.delivered: list[EncodedMessage] = []
        self.bodies = Bodies(ORIGIN, ())
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
            lambda _room: False,
            lambda *_message: None,
        )

    def subscribe_kept_room(self, room: ToRoom, inbox: object) -> None: ...

    async def wait_listening(self, channel: bytes) -> None: ...

    def is_available(self, log: RoomLog) -> bool:
        return True

    async def read(self, log: RoomLog, after: int = 0) -> Tail:
        self.reads.append(asyncio.get_running_loop().create_future())
        return await self.reads[-1]

    def deliver(self, room: ToRoom, message: EncodedMessage, excluded: Any) -> None:
        self.delivered.append(message)

    def record(self, offset: int) -> LogRecord:
        body = self.bodies.make(CHANNEL, offset, EncodedMessage(b'{"event":"said","payload":1}'), None)
        return LogRecord(EPOCH, offset, 1000, ORIGIN, offset, body)

    def hear(self, offset: int) -> None:
        record = self.record(offset)
        self.rooms.record(ROOM, pack_record(EPOCH, offset, 1000, pack_sender(ORIGIN, offset) + record.body))

    def tail(self, last: int) -> Tail:
        return Tail(LogPosition(EPOCH, last), 0, 1000, [self.record(offset) for offset in range(1, last + 1)])


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
