"""Notices by which nodes tell each other which rooms are void, and where a new epoch has begun."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Protocol

import msgspec

from crosswire.cluster.history.voids import VoidRooms
from crosswire.core.targets import ToRoom
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.types import Replies

SERVICE_NAME = "history"
"""The service that takes such notices."""
ANSWER_TIMEOUT = 3.0
"""Seconds to wait until the other nodes have taken a notice."""
STOP_TIMEOUT = 0.5
"""Seconds to wait for the answers when this node stops."""
PAUSE = 0.5
"""Seconds after which a notice is sent again to nodes that have not answered, until they have, or are gone."""


class Began(msgspec.Struct):
    """A new epoch in the log of a room.

    Attributes:
        room: its name.
        owners: the nodes for whose messages the room was void, and is no more.
    """

    room: ToRoom
    owners: list[str]


class VoidNotice(msgspec.Struct):
    """Rooms that are void for the messages of the sender, and rooms in which it has begun a new epoch."""

    void: list[ToRoom]
    began: list[Began]


class AskNodes(Protocol):
    """Sends a request to a service of all other nodes, or of some."""

    def __call__(
        self, name: str, data: Any, timeout: float, *, servers: bool = True, to: Collection[str] | None = None
    ) -> Coroutine[Any, Any, Replies]:
        """Send a request; return the answers when awaited."""
        ...


class VoidNotices:
    """Sends the notices of one node, those of a while together, in their order.

    Args:
        name: of this node.
        voids: the rooms that are void.
        ask: sends a request to other nodes.
        tasks: where that is done.
    """

    __slots__ = ("_ask", "_is_held", "_name", "_pending", "_sending", "_tasks", "_voids")

    def __init__(self, name: str, voids: VoidRooms, ask: Callable[[], AskNodes], tasks: BackgroundTasks) -> None:
        self._name = name
        self._voids = voids
        self._ask = ask
        self._tasks = tasks
        self._pending = VoidNotice([], [])
        self._sending = self._is_held = False

    def void(self, room: ToRoom) -> None:
        """Tell all nodes that this one has delivered messages which the log of a room does not have."""
        self._voids.note(room, self._name)
        self._pending.void.append(room)
        self._send_soon()

    def began(self, room: ToRoom, owners: list[str]) -> None:
        """Tell all nodes that this one has begun a new epoch in a room that was void."""
        self._voids.began(room, owners)
        self._pending.began.append(Began(room, [*owners, self._name]))
        self._send_soon()

    def welcome(self, name: str, living: Collection[str]) -> None:
        """Tell a node that has joined which rooms are void, but for those of which another living node tells it."""
        rooms = self._voids.for_newcomer(living)
        if rooms:
            self._tasks.start(self._tell(VoidNotice(rooms, []), {name}), "crosswire notice of void rooms")

    def hold(self) -> None:
        """Keep notices for :meth:`flush`, as the node stops, and nothing may run in the background any more."""
        self._is_held = True

    async def flush(self) -> None:
        """Send what was kept, and wait for the answers for a short while. Nodes that miss it take over all the same."""
        notice, self._pending = self._pending, VoidNotice([], [])
        if notice.void or notice.began:
            await self._ask()(SERVICE_NAME, notice, STOP_TIMEOUT, servers=False)

    def _send_soon(self) -> None:
        if not self._sending and not self._is_held:
            self._sending = True
            self._tasks.start(self._send(), "crosswire notices of void rooms")

    async def _send(self) -> None:
        try:
            while self._pending.void or self._pending.began:
                await asyncio.sleep(0)  # those of one turn are sent together
                notice, self._pending = self._pending, VoidNotice([], [])
                try:
                    await self._tell(notice, None)
                except asyncio.CancelledError:
                    self._pending = VoidNotice(
                        [*notice.void, *self._pending.void], [*notice.began, *self._pending.began]
                    )
                    raise
        finally:
            self._sending = False

    async def _tell(self, notice: VoidNotice, nodes: Collection[str] | None) -> None:
        while True:
            answers = await self._ask()(SERVICE_NAME, notice, ANSWER_TIMEOUT, servers=False, to=nodes)
            nodes = answers.missing
            if not nodes:
                return
            await asyncio.sleep(PAUSE)
