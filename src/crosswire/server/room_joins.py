"""Lets connections into rooms and out of them, and tells clients of rooms that keep history."""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from msgspec import Struct

from crosswire.core.formats import encode
from crosswire.core.messages import LEFT, ROOM, RoomLeft, RoomPosition, event
from crosswire.core.positions import LogPosition
from crosswire.core.targets import ToRoom
from crosswire.core.timeline import Kept, Timeline
from crosswire.errors import ConfigError
from crosswire.rooms.fanout import FanOut
from crosswire.runtime import environment
from crosswire.server.connected_client import ConnectedClient
from crosswire.server.join_turns import JoinTurns
from crosswire.server.pending_joins import PendingJoin
from crosswire.server.recovered_frames import RecoveredFrames, RecoveredSlice
from crosswire.server.recoveries import Recoveries
from crosswire.server.registry import Registry
from crosswire.server.subscriptions import Subscriptions

Client = ConnectedClient[Any]

UNAVAILABLE = "unavailable"
"""Reason for a client whose position can't be compared with the log of a room, as the log can't be reached."""
TOO_MUCH = "too-much"
"""Reason for a client that has missed more than may be sent to it at once."""


class Welcome(NamedTuple):
    """Answer to the join of one client, in a room that keeps history.

    Attributes:
        recovered: whether it has all since its position, with the messages; see ``RoomPosition``.
        reason: why not.
        at: its position before the messages; None if the log can't be reached.
        slice: the messages.
    """

    recovered: bool | None
    reason: str | None
    at: LogPosition | None
    slice: RecoveredSlice


class _WaitingJoin:
    """Join of a room whose messages do not come here yet.

    Args:
        clients: those that are let in.
        joined: those of them that were not in the room before.

    Attributes:
        clients: those that are let in, except those that have left meanwhile.
        undone: those that leave again if it fails: they are in the room for nothing but this join.
    """

    __slots__ = ("clients", "undone")

    def __init__(self, clients: Iterable[Client], joined: Iterable[Client]) -> None:
        self.clients = dict.fromkeys(clients)
        self.undone = dict.fromkeys(joined)


NOTHING = RecoveredSlice(None, 0, 0)
"""Slice for a client that gets no messages."""


class RoomJoins:
    """Joins and leaves of all connections of a server, whoever asks for them.

    A room that keeps history is held while its log is read, and only then has the connection as a member. What the
    client has missed goes to it in the same step, so that nothing comes between that and the live messages.

    Args:
        registry: the connections by user and room.
        subscriptions: of this server, with the rooms' timelines.
        fanout: pushes messages to many.
        outbox: bytes that may wait for one connection; half of it may be filled with messages of the history.
        replaces: whether a user has one connection at a time; see :class:`RecoveredFrames`.

    Attributes:
        recoveries: counts what clients got.
    """

    __slots__ = ("_fanout", "_frames", "_outbox", "_registry", "_subscriptions", "_turns", "_waiting", "recoveries")

    def __init__(
        self,
        registry: Registry[Client],
        subscriptions: Subscriptions,
        fanout: FanOut,
        outbox: int,
        *,
        replaces: bool,
    ) -> None:
        self._registry = registry
        self._subscriptions = subscriptions
        self._fanout = fanout
        self._outbox = outbox
        self._frames = RecoveredFrames(replaces=replaces)
        self._turns = JoinTurns()
        self._waiting: dict[ToRoom, list[_WaitingJoin]] = {}  # joins of rooms without a history
        self.recoveries = Recoveries()

    async def join(self, clients: Collection[Client], room: ToRoom, rewind: int = 0) -> int:
        """Let connections into a room, all or none; return how many were not in it, once messages to it reach them.

        Args:
            clients: of this server.
            room: where they are let in.
            rewind: number of the room's last messages that a client gets if it has no position there.

        Raises:
            EventError, BusUnavailable: as ``Socket.join``.
            ConfigError: the room keeps no history to rewind.
        """
        if self._subscriptions.keeps_history(room.namespace):
            return await self._join_with_history(clients, room, rewind)
        if rewind:
            raise ConfigError(
                f"join(rewind={rewind}): rooms of the namespace {room.namespace!r} keep no history: declare it with "
                f"server.history({room.namespace!r})"
            )
        joined: list[Client] = []
        try:
            for client in clients:
                if self._registry.join(client, room.namespace, room.id):
                    joined.append(client)  # noqa: PERF401 - the list is complete even if the next one is refused
        except BaseException:
            self._leave_again(joined, room)
            raise
        if (ready := self._subscriptions.room_ready(room.namespace, room.id)) is not None:
            await self._wait_until_ready(ready, room, _WaitingJoin(clients, joined))
        elif self._waiting:  # other joins may not have gone on yet
            self._keep(clients, room)
        return len(joined)

    async def _wait_until_ready(self, ready: Coroutine[Any, Any, None], room: ToRoom, own: _WaitingJoin) -> None:
        """Wait until messages to a room come here; if that fails, take those out that no other join has let in too."""
        waiting = self._waiting.setdefault(room, [])
        waiting.append(own)
        try:
            await ready
        except BaseException:
            for client in tuple(own.undone):
                heir = next((each for each in waiting if each is not own and client in each.clients), None)
                if heir is not None:
                    del own.undone[client]
                    heir.undone[client] = None
            self._leave_again(own.undone, room)
            raise
        else:
            self._keep(own.clients, room)
        finally:
            waiting.remove(own)
            if not waiting:
                del self._waiting[room]

    def _keep(self, clients: Iterable[Client], room: ToRoom) -> None:
        """Let no join that waits take clients out if it fails."""
        for each in self._waiting.get(room, ()):
            for client in clients:
                each.undone.pop(client, None)

    async def _join_with_history(self, clients: Collection[Client], room: ToRoom, rewind: int) -> int:
        joins: list[PendingJoin[Client]] = []
        joined: list[Client] = []
        try:
            for client in clients:
                if (join := self._registry.begin_join(client, room.namespace, room.id)) is not None:
                    joins.append(join)  # noqa: PERF401 - the list is complete even if the next one is refused
            if (ready := self._subscriptions.room_ready(room.namespace, room.id)) is not None:
                await ready
            if joins:
                await self._turns.run(partial(self._let_in, joins, room, rewind, joined))
        except BaseException:
            self._leave_again(joined, room)
            raise
        finally:
            for join in joins:
                self._registry.cancel_join(join)
        return len(joined)

    def _leave_again(self, joined: Collection[Client], room: ToRoom) -> None:
        """Take connections out: a caller that gets an error, or stops waiting, has nobody in the room."""
        for client in tuple(joined):
            self.leave(client, room)

    def leave(self, client: Client, room: ToRoom) -> bool:
        """Take a connection out of a room; return whether it was in it, or about to be."""
        for each in self._waiting.get(room, ()):
            each.clients.pop(client, None)
            each.undone.pop(client, None)
        left = self._registry.leave(client, room.namespace, room.id)
        if left and client.offered is not None and self._subscriptions.keeps_history(room.namespace):
            client.send_encoded(client.format.encode(event(LEFT, RoomLeft((room.namespace, room.id)))))
        return left

    def clear(self, room: ToRoom) -> int:
        """Take all connections out of a room, and those that are about to be in it; return their number."""
        rooms, pending = self._registry.rooms, self._registry.pending
        waiting = [join.connection for join in pending.in_room(room.namespace, room.id)]
        clients = dict.fromkeys([*rooms.in_room(room.namespace, room.id), *waiting])
        return sum([self.leave(client, room) for client in clients])

    def rooms_of(self, namespace: str) -> set[ToRoom]:
        """Return the rooms of a namespace that have members here, or are about to have them."""
        ids = self._registry.rooms.ids(namespace) | self._registry.pending.ids(namespace)
        return {ToRoom(namespace, id_) for id_ in ids}

    def room_changed(self, room: ToRoom, at: LogPosition | None, reason: str | None) -> None:
        """Tell the members of a room that something may be missing in what they have heard.

        Args:
            room: that they are in.
            at: their position from now on; None if the log can't be reached.
            reason: why something may be missing; None if they had no position before.
        """
        members = [each for each in self._registry.rooms.in_room(room.namespace, room.id) if each.offered is not None]
        if members:
            told = encode(
                _told(room, at, None if reason is None else False, reason), msgpack=self._fanout.wants_msgpack
            )
            self._fanout.push(self._fanout.frames(told), members)

    # A join of a room that keeps history

    def _let_in(self, joins: Sequence[PendingJoin[Client]], room: ToRoom, rewind: int, joined: list[Client]) -> None:
        """Let connections in and give them what they have missed, without a pause in between."""
        timeline = self._subscriptions.timeline(room.namespace, room.id)
        for join in joins:
            if join.is_over:  # the client is gone, was taken out meanwhile, or is in by another join
                continue
            client = join.connection
            self._send(client, room, self._welcome(client, room, timeline, rewind))
            self._registry.finish_join(join)
            joined.append(client)

    def _welcome(self, client: Client, room: ToRoom, timeline: Timeline | None, rewind: int) -> Welcome:
        if timeline is None:
            return Welcome(*self._unavailable(client, room), None, NOTHING)
        offered = None
        if timeline.position is not None and client.offered is not None:
            offered = client.offered.take(room, timeline.position.epoch)
        room_left = max(self._outbox // 2 - client.buffered, 0)
        now = environment.wall_time()
        recovered, reason, at, messages = timeline.recover(offered, rewind=rewind, now=now, max_bytes=room_left)
        part = self._slice(client, at, messages)
        if part.size > room_left and recovered:  # it is larger in this format than as JSON
            return Welcome(False, TOO_MUCH, timeline.position, NOTHING)
        while part.size > room_left:
            messages = messages[(len(messages) + 1) // 2 :]
            at = _behind(at, messages[0].offset - 1) if messages else timeline.position
            part = self._slice(client, at, messages)
        if messages and not part.number:  # all exclude this user
            at = _behind(at, messages[-1].offset)
        if at is None:
            recovered, reason = self._unavailable(client, room)
        return Welcome(recovered, reason, at, part)

    def _slice(self, client: Client, at: LogPosition | None, messages: Sequence[Kept]) -> RecoveredSlice:
        return self._frames.slice(at and at.epoch, messages, client.format, client.user, client.id)

    def _unavailable(self, client: Client, room: ToRoom) -> tuple[bool | None, str | None]:
        """Return what a client is told of its position, if the log can't be reached: it forgets the position."""
        if client.offered is None or not client.offered.any_left:
            return None, None
        client.offered.spoil(room)
        return False, UNAVAILABLE

    def _send(self, client: Client, room: ToRoom, welcome: Welcome) -> None:
        self.recoveries.add(welcome.recovered, welcome.reason, welcome.slice.number)
        if client.offered is not None:
            told = _told(room, welcome.at, welcome.recovered, welcome.reason)
            client.send_encoded(client.format.encode(told))
        if welcome.slice.frames is not None:
            client.send_encoded(welcome.slice.frames)
            self._fanout.sent += welcome.slice.number - 1


def _behind(at: LogPosition | None, offset: int) -> LogPosition | None:
    return at and LogPosition(at.epoch, offset)


def _told(room: ToRoom, at: LogPosition | None, recovered: bool | None, reason: str | None) -> Struct:
    position = None if at is None else str(at)
    return event(ROOM, RoomPosition((room.namespace, room.id), position, recovered, reason))
