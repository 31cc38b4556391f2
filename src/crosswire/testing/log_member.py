"""A member of a bus that keeps rooms' messages: its port, its log, and the records that came."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from crosswire.cluster.interface import Bus, LogPort
from crosswire.cluster.log.interface import Append, AppendFailure, Log, NewMessage, RoomLog
from crosswire.cluster.send_buffer import Budget
from crosswire.core.channel_names import Channels
from crosswire.core.envelopes import ORIGIN_SIZE
from crosswire.core.log_records import LogRecord, unpack_record
from crosswire.core.positions import LogPosition
from crosswire.core.targets import ToRoom
from crosswire.runtime import environment
from crosswire.testing.recording import eventually
from crosswire.types import GapInfo, LinkStatus, SubscriptionFailure

ANSWER_TIMEOUT = 10.0
"""Seconds in which a log must answer an append."""


@dataclass(frozen=True, slots=True)
class AppendFailed(Exception):
    """An append failed.

    Attributes:
        failure: why.
        text: for the log file.
    """

    failure: AppendFailure
    text: str


@dataclass(slots=True)
class PortRecorder:
    """Records the events of a port and of a log.

    Attributes:
        events: the name of each event, in their order.
        holders: of the logs, whose reachability changed.
    """

    events: list[str] = field(default_factory=list)
    holders: list[str] = field(default_factory=list)

    def holder_changed(self, holder: str) -> None:
        self.holders.append(holder)

    def logs_moved(self) -> None:
        self.events.append("logs moved")

    def paths_changed(self) -> None:
        self.events.append("paths changed")

    def path_lost(self, path: str) -> None:
        self.events.append("path lost")

    def restored(self) -> None:
        self.events.append("restored")

    def gap(self, info: GapInfo) -> None:
        self.events.append("gap")

    def health_changed(self, status: LinkStatus) -> None:
        self.events.append("health changed")

    def subscription_failed(self, failure: SubscriptionFailure) -> None:
        self.events.append("subscription failed")

    def pause_publishing(self) -> None:
        self.events.append("pause")

    def resume_publishing(self) -> None:
        self.events.append("resume")

    def messages_dropped(self, reason: str | None, count: int = 1) -> None:
        self.events.append("dropped")


class LogMember:
    """A node as its bus and its log see it.

    Args:
        bus: of the node.
        name: of the node.

    Attributes:
        origin: of its messages.
        port: its connection to the bus.
        log: its log.
        received: the records that came, by the channel of their room.
        recorded: the events of the port and the log.
    """

    def __init__(self, bus: Bus, name: str) -> None:
        self._channels = Channels(bus.prefix)
        self._number = 0
        self.origin = environment.urandom(ORIGIN_SIZE)
        self.recorded = PortRecorder()
        self.received: dict[bytes, list[LogRecord]] = {}
        self.port = bus.attach(self.recorded, name, self.origin, Budget(16 * 1024 * 1024))
        assert isinstance(self.port, LogPort), "the port of this bus keeps no messages: it has no open_log"
        self.log: Log = self.port.open_log(self.recorded)

    async def start(self) -> None:
        """Connect the port and the log."""
        await self.port.start()
        await self.log.start()

    async def stop(self) -> None:
        """Disconnect the log and the port."""
        await self.log.stop()
        await self.port.stop()

    def room(self, id: str, *, size: int = 100, ttl: float = 300.0) -> RoomLog:
        """Return the log of a room."""
        return RoomLog(ToRoom("test", id), self._channels.room("test", id), size, ttl)

    async def listen(self, log: RoomLog) -> None:
        """Record what the log of a room publishes."""
        received = self.received.setdefault(log.channel, [])
        self.port.subscribe(log.channel, lambda record: received.append(unpack_record(record)))
        await self.port.wait_listening(log.channel)

    def heard(self, log: RoomLog) -> list[bytes]:
        """Return the bodies that came from the log of a room, without the beginnings of epochs."""
        return [record.body for record in self.received.get(log.channel, ()) if record.offset]

    async def hears(self, log: RoomLog, *bodies: bytes) -> None:
        """Wait for as many messages from the log of a room; fail if they are not these."""
        await eventually(lambda: len(self.heard(log)) >= len(bodies), f"{len(bodies)} messages come")
        assert self.heard(log) == list(bodies)

    def next_number(self) -> int:
        """Return a number for the next message."""
        self._number += 1
        return self._number

    def message(self, body: bytes, id: str | None = None) -> NewMessage:
        """Return a message with the next number."""
        return NewMessage(self.next_number(), body, id)

    def begin(
        self,
        log: RoomLog,
        *messages: NewMessage,
        previous: int = 0,
        new_epoch: bool = False,
        settling: float = 0.0,
        origin: bytes | None = None,
    ) -> asyncio.Future[Sequence[LogPosition]]:
        """Hand messages to the log; return a future for their positions, which may fail with :class:`AppendFailed`."""
        done: asyncio.Future[Sequence[LogPosition]] = asyncio.get_running_loop().create_future()

        def failed(failure: AppendFailure, text: str) -> None:
            done.set_exception(AppendFailed(failure, text))

        sender = self.origin if origin is None else origin
        self.log.append(Append(log, sender, previous, messages, new_epoch, settling, done.set_result, failed))
        return done

    async def append(
        self,
        log: RoomLog,
        *messages: NewMessage | bytes,
        previous: int = 0,
        new_epoch: bool = False,
        settling: float = 0.0,
    ) -> list[LogPosition]:
        """Append messages and return their positions.

        Raises:
            AppendFailed: the log did not keep them.
        """
        numbered = [self.message(each) if isinstance(each, bytes) else each for each in messages]
        begun = self.begin(log, *numbered, previous=previous, new_epoch=new_epoch, settling=settling)
        return list(await asyncio.wait_for(begun, ANSWER_TIMEOUT))

    async def bodies(self, log: RoomLog, after: int = 0, *, limit: int | None = None) -> list[bytes]:
        """Read the bodies that the log of a room keeps after an offset."""
        return [record.body for record in (await self.log.read(log, after, limit=limit)).records]
