"""Nodes whose members of rooms are recorded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

from crosswire import Node
from crosswire.cluster.clients import NoClients
from crosswire.cluster.interface import Bus
from crosswire.core.formats import EncodedMessage
from crosswire.core.positions import LogPosition
from crosswire.core.targets import Excluded, Target, ToRoom
from crosswire.core.timeline import Timeline
from tests.support.aio import wait_until

LONG = 40.0
"""Seconds for what takes a second or two on a quiet machine."""


class Heard(NamedTuple):
    """A message that the members of a room have got."""

    data: Any
    at: str | None


class Told(NamedTuple):
    """What the members of a room were told of it."""

    at: str | None
    reason: str | None


class Members(NoClients):
    """Rooms of one node with members that keep what they get."""

    serves = True

    def __init__(self) -> None:
        self.heard: dict[ToRoom, list[Heard | Told]] = {}

    def deliver(self, target: Target, message: EncodedMessage, exclude: Excluded | None) -> int:
        if not isinstance(target, ToRoom) or target not in self.heard:
            return 0
        fields = json.loads(message.json)
        self.heard[target].append(Heard(fields["payload"], fields.get("at")))
        return 1

    def send(
        self, target: Target, event: str, data: Any, exclude: Excluded | None, local: bool, policy: Any = None
    ) -> None:
        self.deliver(target, EncodedMessage(json.dumps({"event": event, "payload": data}).encode()), exclude)

    def rooms_of(self, namespace: str) -> Iterable[ToRoom]:
        return [room for room in self.heard if room.namespace == namespace]

    def room_changed(self, room: ToRoom, at: LogPosition | None, reason: str | None) -> None:
        self.heard[room].append(Told(None if at is None else str(at), reason))


class HistoryNode(Node):
    """A node with such members."""

    def __init__(self, name: str, bus: Bus | None) -> None:
        self.members = Members()
        super().__init__(name, bus=bus, clients=self.members)

    async def join(self, namespace: str, id: str) -> Timeline | None:
        """Let a member into a room, as a server does."""
        channels = self.client_channels()
        room = ToRoom(namespace, id)
        if channels is None:
            self.members.heard[room] = []
            return None
        channels.subscribe_room(namespace, id)
        ready = channels.room_ready(namespace, id)
        if ready is not None:
            await ready
        self.members.heard[room] = []
        return channels.timeline(namespace, id)

    def timeline(self, namespace: str, id: str) -> Timeline:
        """Return the timeline of a room that is open."""
        channels = self.client_channels()
        assert channels is not None
        timeline = channels.timeline(namespace, id)
        assert timeline is not None
        return timeline

    def all(self, namespace: str, id: str) -> list[Heard | Told]:
        """Return everything that the members of a room have got."""
        return self.members.heard[ToRoom(namespace, id)]

    def data(self, namespace: str, id: str) -> list[Any]:
        """Return the data of the messages that they have got."""
        return [each.data for each in self.all(namespace, id) if isinstance(each, Heard)]

    def positions(self, namespace: str, id: str) -> list[str | None]:
        """Return the positions of these messages."""
        return [each.at for each in self.all(namespace, id) if isinstance(each, Heard)]

    def told(self, namespace: str, id: str) -> list[Told]:
        """Return what the members were told of the room."""
        return [each for each in self.all(namespace, id) if isinstance(each, Told)]

    async def wait_for(self, namespace: str, id: str, count: int, timeout: float = LONG) -> None:
        """Wait until the members of a room have got that many messages."""
        await wait_until(lambda: len(self.data(namespace, id)) >= count, timeout)


@asynccontextmanager
async def history_nodes(
    bus: Bus | None, *names: str, namespace: str | None = "chat"
) -> AsyncIterator[list[HistoryNode]]:
    """Run nodes; the first one declares that a namespace keeps history."""
    async with AsyncExitStack() as stack:
        nodes = [HistoryNode(name, bus) for name in names]
        if namespace is not None:
            nodes[0].history(namespace, size=1000, ttl=60)
        for node in nodes:
            await stack.enter_async_context(node)
        yield nodes
