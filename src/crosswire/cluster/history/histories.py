"""The part of a node's connection that concerns rooms which keep history: nothing, until there are such rooms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from crosswire.cluster.clients import Clients
from crosswire.cluster.history.bodies import Bodies
from crosswire.cluster.history.declarations import Declarations, KeptNamespaces
from crosswire.cluster.history.node_history import NodeHistory
from crosswire.cluster.history.open_room import OpenRoom
from crosswire.cluster.history.stray_records import StrayRecords
from crosswire.cluster.history.void_notices import AskNodes, VoidNotice, VoidNotices
from crosswire.cluster.history.voids import VoidRooms
from crosswire.cluster.log.interface import Log, LogEvents
from crosswire.cluster.members import Members
from crosswire.cluster.native import NativeDialect
from crosswire.cluster.ordered_port import OrderedPort
from crosswire.core.targets import ToRoom
from crosswire.errors import ConfigError, NotConnected
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.log_records import get_logger

logger = get_logger("crosswire.history")


class Histories:
    """History of rooms, in one run of a node. The log is opened when the first namespace is known to keep history.

    Args:
        name: of the node.
        port: the node's end of the bus.
        native: has the rooms' channels.
        clients: of the node.
        declarations: the namespaces that keep history.
        members: the other nodes.
        ask: returns the function that sends a request to a service of other nodes.
        tasks: where background tasks run.
        keys: with which messages are signed; empty if they are not.
        has_original: whether servers of the original are in the cluster.
        is_redundant: whether each message is published on two paths, so that none is lost with one.

    Attributes:
        kept: the options of the namespaces that keep history; empty if the bus has no log.
    """

    def __init__(
        self,
        name: str,
        port: OrderedPort,
        native: NativeDialect,
        clients: Clients,
        declarations: Declarations,
        members: Members,
        ask: Callable[[], AskNodes],
        tasks: BackgroundTasks,
        keys: Sequence[bytes],
        *,
        has_original: bool,
        is_redundant: bool,
    ) -> None:
        self._port = port
        self._native = native
        self._clients = clients
        self._declarations = declarations
        self._members = members
        self._tasks = tasks
        self._has_original = has_original
        self._is_redundant = is_redundant
        self._bodies = Bodies(port.origin, keys)
        self._voids = VoidRooms(name)
        self._notices = VoidNotices(name, self._voids, ask, tasks)
        self._history: NodeHistory | None = None
        self._starting: asyncio.Task[None] | None = None
        self._refusal: ConfigError | None = None
        self.kept: KeptNamespaces = {}
        self._strays = StrayRecords(native, self._bodies, clients)
        port.take_stray_record = self._strays.take

    # Life

    async def start(self) -> None:
        """Connect to the logs, if rooms keep history; return when they can be reached or after a short while.

        Raises:
            ConfigError: a log refuses this node.
        """
        if self._history is not None:
            await asyncio.wait({self._begin_start(self._history)})
            if self._refusal is not None:
                raise self._refusal

    def _begin_start(self, history: NodeHistory) -> asyncio.Task[None]:
        """Connect to the logs in the background, unless that was begun already."""
        if self._starting is None:
            self._starting = self._tasks.start(self._start_log(history), "crosswire start of rooms' logs")
        return self._starting

    async def _start_log(self, history: NodeHistory) -> None:
        try:
            await history.log.start()
        except ConfigError as error:
            self._refusal = error
            logger.warning("rooms keep history, but no message is kept from here: %s", error)

    def require_log(self) -> Callable[[LogEvents], Log]:
        """Return the function that makes the log of this node.

        Raises:
            ConfigError: its bus has none.
        """
        if self._has_original:
            raise ConfigError("no room keeps history in a cluster with original servers: Redis(compat=...)")
        open_log: Any = getattr(self._port.bus_port, "open_log", None)
        if open_log is None:
            raise ConfigError("no room keeps history, as the bus has no logs: its port has no open_log")
        made: Callable[[LogEvents], Log] = open_log
        return made

    def check(self) -> None:
        """Open the log if rooms keep history.

        Raises:
            ConfigError: the bus has none.
        """
        if self._declarations.kept and self._history is None:
            self._open(self.require_log())

    def changed(self, namespaces: set[str]) -> None:
        """Keep the history of rooms as it is declared now, of those too that have members already."""
        if self._history is None:
            try:
                self.check()
            except ConfigError as error:
                logger.warning("another node says that rooms keep history, but here they can't: %s", error)
        if (history := self._history) is None:
            return
        self._begin_start(history)
        history.announce()
        history.rooms.resize(namespaces)
        for namespace in sorted(namespaces):
            for room in self._clients.rooms_of(namespace):
                history.rooms.open(room, heard=self._strays.delivered(room))

    def _open(self, open_log: Callable[[LogEvents], Log]) -> None:
        self.kept = self._declarations.kept
        self._history = NodeHistory(
            self.kept,
            self._port,
            self._native,
            self._clients,
            self._bodies,
            self._voids,
            self._notices,
            lambda: self._members.names,
            self._sends_copies,
            self._tasks,
            open_log,
        )
        self._tasks.start(self._history.watch(), "crosswire history of rooms")

    def _sends_copies(self) -> bool:
        """Return whether messages are published on the bus too: for safety, or for servers that read no log."""
        return self._is_redundant or self._members.lack_history

    async def stop(self) -> None:
        """Let messages get into the logs for a short while, deliver the rest past them, and disconnect.

        If this is cancelled, it skips the waiting.
        """
        self._notices.hold()
        if self._history is not None:
            await self._history.stop()
        await self._notices.flush()

    # Rooms

    @property
    def of_rooms(self) -> NodeHistory:
        """History of the rooms that keep one.

        Raises:
            NotConnected: no room keeps history.
        """
        if self._history is None:
            raise NotConnected("no room keeps history")
        return self._history

    def open(self, room: ToRoom) -> None:
        """Listen to the log of a room that gets its first member."""
        self.of_rooms.open(room)

    def close(self, namespace: str, id: str) -> None:
        """Listen to a room no more, as it has no members."""
        if self._history is not None:
            self._history.rooms.close(namespace, id)

    def get(self, namespace: str, id: str) -> OpenRoom | None:
        """Return a room that keeps history and has members here, or is about to have some; None if it is not open."""
        return None if self._history is None else self._history.rooms.get(namespace, id)

    @property
    def dropped(self) -> int:
        """Number of messages that are lost."""
        return 0 if self._history is None else self._history.appends.dropped

    @property
    def appended(self) -> int:
        """Number of messages that logs have kept."""
        return 0 if self._history is None else self._history.appends.appended

    # Other nodes

    def compare(self) -> None:
        """Compare all rooms with their logs, as messages may have been missed."""
        if self._history is not None:
            self._history.rooms.compare()

    def node_left(self, name: str) -> None:
        """Take over from a node that is gone."""
        self._voids.node_left(name)

    def welcome(self, name: str) -> None:
        """Tell a node that has joined which rooms are void."""
        self._notices.welcome(name, self._members.names)

    def take_notice(self, sender: str, notice: VoidNotice) -> None:
        """Take note of rooms that are void, and of new epochs."""
        for room in notice.void:
            self._voids.note(room, sender)
            if (opened := self.get(room.namespace, room.id)) is not None:
                opened.timeline.void()
        for each in notice.began:
            self._voids.began(each.room, each.owners)
            if self._history is not None:
                self._history.rooms.renewed(each.room)
