"""The channels of a server without a bus, whose rooms keep history."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from crosswire.core.event_policies import EventPolicies
from crosswire.core.formats import encode
from crosswire.core.messages import event
from crosswire.core.positioned_messages import with_position
from crosswire.core.positions import LogPosition
from crosswire.core.targets import Excluded, ToRoom
from crosswire.core.timeline import Change, Kept, Timeline
from crosswire.runtime import environment
from crosswire.runtime.thread_calls import ThreadCalls
from tests.support.fakes import FakeServer

ROOM = ToRoom("chat", "1")
EPOCH = "k3xQ9a2f"
"""Epoch of the log of that room."""
ORIGIN = b"sender-1"


def epoch_of(id: str) -> str:
    return EPOCH if id == ROOM.id else f"{id:x<8}"


class HistoryChannels:
    """The channels of a server whose rooms of the namespace "chat" keep history, with their timelines.

    Attributes:
        subscribed: rooms that are subscribed now.
        readable: set while the logs can be read.
        error: raised instead of waiting.
        is_reachable: whether a timeline is loaded before its room is ready.
        log: messages of each room.
        waiting: number of joins that wait.
    """

    def __init__(self, server: FakeServer) -> None:
        self.kept = {"chat"}
        self.subscribed: dict[tuple[str, str], Timeline] = {}
        self.readable = asyncio.Event()
        self.readable.set()
        self.error: Exception | None = None
        self.is_reachable = True
        self.log: dict[tuple[str, str], list[Kept]] = {}
        self._server = server
        self.waiting = 0

    def attach(self) -> None:
        """Give the server a node that has these channels, and no bus."""
        node = SimpleNamespace(
            thread_calls=ThreadCalls(),
            policies=EventPolicies(),
            revocations=SimpleNamespace(table=None),
            client_channels=lambda: self,
            user_channels=lambda: self,
        )
        self._server.attach(cast(Any, node))

    def subscribe_room(self, namespace: str, id: str) -> None:
        assert (namespace, id) not in self.subscribed
        self.subscribed[namespace, id] = Timeline(100, 300)

    def unsubscribe_room(self, namespace: str, id: str) -> None:
        del self.subscribed[namespace, id]

    def subscribe_user(self, user: str) -> None:
        pass

    def unsubscribe_user(self, user: str) -> None:
        pass

    def stamp(self) -> int:
        return 0

    async def user_ready(self, user: str) -> None:
        pass

    def claim(self, user: str, stamp: int, *, alive: bool) -> None:
        pass

    def keeps_history(self, namespace: str) -> bool:
        return namespace in self.kept

    def timeline(self, namespace: str, id: str) -> Timeline | None:
        return self.subscribed.get((namespace, id))

    async def room_ready(self, namespace: str, id: str) -> None:
        self.waiting += 1
        try:
            await self.readable.wait()
        finally:
            self.waiting -= 1
        if self.error is not None:
            raise self.error
        timeline = self.subscribed.get((namespace, id))
        if timeline is not None and not timeline.is_loaded and self.is_reachable:
            self.load(timeline, namespace, id)

    def load(self, timeline: Timeline, namespace: str, id: str) -> Change:
        kept = self.log.get((namespace, id), [])
        return timeline.load(LogPosition(epoch_of(id), len(kept)), 0, 0.0, kept)

    def say(self, text: object, excluded: Excluded | None = None, room: ToRoom = ROOM) -> None:
        """Keep a message in the log, and deliver it to the members, as a node does."""
        log = self.log.setdefault((room.namespace, room.id), [])
        position = LogPosition(epoch_of(room.id), len(log) + 1)
        message = with_position(encode(event("said", text), msgpack=False), *position)
        log.append(
            kept := Kept(
                position.offset, int(environment.wall_time() * 1000), ORIGIN, position.offset, message, excluded
            )
        )
        if (timeline := self.subscribed.get((room.namespace, room.id))) is not None:
            for each in timeline.take(position.epoch, kept).ready:
                self._server.clients.deliver(room, each.message, each.excluded)
