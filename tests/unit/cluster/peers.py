"""Nodes that have nothing but their members, on a memory bus."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from crosswire.cluster.clients import NoClients
from crosswire.cluster.dialect import AskedRequest, Asker
from crosswire.cluster.history.declarations import Declarations
from crosswire.cluster.interface import Bus, BusEvents, Receive
from crosswire.cluster.life_checks import LifeChecks
from crosswire.cluster.members import Members
from crosswire.cluster.memory import MemoryBus
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.cluster.ordered_receiver import IsReadable, ReceiveBody
from crosswire.cluster.receivers import ReceiveUnproven
from crosswire.cluster.requests import PendingRequests
from crosswire.core.channel_names import Channels
from crosswire.core.clock import HybridClock
from crosswire.core.membership import beat_interval
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.types import NodeInfo
from tests.support.ignored_events import IgnoredPortEvents


class Inbox:
    """Answers every request, as the question whether the node is alive."""

    alive = True

    def event(self, *_event: Any, **_more: Any) -> None: ...

    def request(self, asker: Asker, *_request: Any, **_more: Any) -> None:
        if self.alive:
            asker.answer(None)

    def all_requested(self, asked: Sequence[AskedRequest]) -> None:
        for each in asked:
            self.request(each)


class RecordingPort(OrderedPort):
    """A port that notes the receiver of each channel."""

    def __init__(self, bus: Bus, events: BusEvents, name: str, origin: bytes) -> None:
        super().__init__(bus, events, name, origin)
        self.receivers: dict[bytes, ReceiveBody] = {}

    def subscribe(
        self,
        channel: bytes,
        receive: ReceiveBody,
        *,
        plain: bool = False,
        is_readable: IsReadable | None = None,
        unproven: ReceiveUnproven | None = None,
        take_record: Receive | None = None,
    ) -> None:
        self.receivers[channel] = receive
        super().subscribe(
            channel, receive, plain=plain, is_readable=is_readable, unproven=unproven, take_record=take_record
        )


class Peer:
    """A node that has nothing but its members, and notes what it is told of them."""

    def __init__(self, bus: MemoryBus, name: str, run: int = 1, dialect: str = "native") -> None:
        loop = asyncio.get_running_loop()
        incarnation = f"{run:08x}{name.encode().hex():0>8}"
        self.name, self.incarnation = name, incarnation
        self.told: list[str] = []
        self.port = RecordingPort(bus, IgnoredPortEvents(), name, bytes.fromhex(incarnation))
        native = NativeDialect(self.port, Channels(bus.prefix), name, incarnation)
        clock = HybridClock(lambda: int(loop.time() * 1_000_000))
        own = NodeInfo(name, incarnation, loop.time())
        self.tasks = BackgroundTasks()
        self.declarations = Declarations()
        self._inbox, self._requests = Inbox(), PendingRequests()
        checks = LifeChecks(native, self.port, self._requests)
        self.members = Members(
            own,
            native,
            self.port,
            NoClients(),
            self,
            clock,
            dialect,
            self.declarations,
            checks=checks,
            tasks=self.tasks,
        )
        self._native = native
        self._kept: list[tuple[bytes, bytes]] = []
        native.listen_to_nodes(self._inbox, self._requests, self.members)
        self._beating: asyncio.Task[None] | None = None

    async def start(self) -> Peer:
        await self.port.start()
        await self.members.joining.claim_name()
        await self.members.joining.introduce()
        self._beating = asyncio.create_task(self.members.run())
        return self

    @property
    def unreadable(self) -> int:
        return self._native.unreadable

    async def start_among(self, others: list[Peer]) -> None:
        """Start as one of many that know each other already."""
        await self.port.start()
        now, every = asyncio.get_running_loop().time(), beat_interval(len(others))
        for each in others:
            if each is not self:
                self.members._members.add(msgspec.structs.replace(each.members._beat(), every=every), now)
                self.port.remember(bytes.fromhex(each.incarnation))
        self.members._name.announced = self.members._name.admitted = True
        self.members._beats._first = 0
        self.members._beats.sent(self.members._beat(), now)
        self._beating = asyncio.create_task(self.members.run())

    async def leave(self) -> None:
        self._inbox.alive = False
        self.members.announce_leave()
        await self.die()

    async def freeze(self) -> None:
        """Say and hear nothing any more, but keep the channels, and what comes."""
        for channel in self._native.own_channels:
            self.port.subscribe(channel, partial(self._keep, channel))
        await self._end_beats()

    def thaw(self) -> None:
        """Hear what has come meanwhile, and go on."""
        self._native.listen_to_nodes(self._inbox, self._requests, self.members)
        for channel, body in self._kept:
            self.port.receivers[channel](body)
        self._beating = asyncio.create_task(self.members.run())

    async def die(self) -> None:
        await self._end_beats()
        await self.tasks.cancel()
        self._requests.end_all()
        await self.port.stop()

    def _keep(self, channel: bytes, body: bytes) -> None:
        self._kept.append((channel, body))

    async def _end_beats(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait([self._beating])

    # MembershipEvents

    def joined(self, info: NodeInfo) -> None:
        self.told.append(f"+{info.name}")

    def left(self, info: NodeInfo, reason: str) -> None:
        self.told.append(f"-{info.name} {reason}")

    def replaced(self) -> None:
        self._inbox.alive = False
        self.told.append("replaced")
