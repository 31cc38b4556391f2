"""The clients of one node, as its connection to the cluster uses them. Only a server has clients."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from crosswire.cluster.dialect import ClientInbox
from crosswire.cluster.member_events import ClientLoad
from crosswire.core.audience import Dispatcher
from crosswire.core.envelopes import Claim
from crosswire.core.event_policies import SendPolicy
from crosswire.core.formats import EncodedMessage
from crosswire.core.payload_types import PayloadType
from crosswire.core.positions import LogPosition
from crosswire.core.revocations import Revocation
from crosswire.core.targets import Excluded, Target, ToRoom
from crosswire.types import Locations, Replies, RoomList, Roster, Tally


class ClientCounts(NamedTuple):
    """Numbers that one node has counted of its clients.

    Attributes:
        connections: number of them.
        users: number of users.
        rooms: number of rooms that have members here.
        received: messages of clients since the node was made.
        sent: messages to clients since then, one for each connection that gets it.
        skipped: those of them that a connection did not get, as its client was behind, by event.
    """

    connections: int = 0
    users: int = 0
    rooms: int = 0
    received: int = 0
    sent: int = 0
    skipped: Mapping[str, int] = MappingProxyType({})


class FormatsInUse(Protocol):
    """The formats of messages that the clients of one node use."""

    @property
    def wants_msgpack(self) -> bool:
        """Whether MessagePack is one of them."""
        ...


class FixedFormats(NamedTuple):
    """Formats that do not change."""

    wants_msgpack: bool


class Clients(Dispatcher, ClientInbox, ClientLoad, Protocol):
    """Carries out the methods of audiences on the clients of one node."""

    @property
    def formats(self) -> FormatsInUse:
        """The formats that they use, for what asks at every message."""
        ...

    @property
    def connected(self) -> Collection[str]:
        """The users that are connected to this node, now and later."""
        ...

    def users(self, target: Target) -> Collection[str]:
        """Return the users of a target that are connected to this node, each once."""
        ...

    async def list_rooms(self, namespace: str | None, prefix: str, limit: int) -> RoomList:
        """List the first ``limit`` rooms with members here, of a namespace or of all, whose ids have a prefix."""
        ...

    def revoke(self, revocations: Collection[Revocation], *, late: bool) -> int:
        """Close the connections whose tokens or users are revoked, and return their number.

        Args:
            revocations: that were not known here before.
            late: whether they were made some time ago; users may have connected anew since then.
        """
        ...

    @property
    def counts(self) -> ClientCounts:
        """Numbers of clients, and of their messages."""
        ...

    @property
    def users_may_be_elsewhere(self) -> bool:
        """Whether a user that is connected to this node may be connected to other nodes too."""
        ...

    def restored(self) -> None:
        """Handle that other nodes can be reached again."""

    def rooms_of(self, namespace: str) -> Iterable[ToRoom]:
        """Return the rooms of a namespace that this node is subscribed to for its clients."""
        ...

    def room_changed(self, room: ToRoom, at: LogPosition | None, reason: str | None) -> None:
        """Tell the members of a room, as far as they understand it, that they can't count on positions before.

        Args:
            room: that keeps history.
            at: the position from which they go on: the messages behind it are delivered next; None if there is none.
            reason: why they may have missed messages; None if the room begins to keep history just now.
        """


class NoClients:
    """The clients of a node that is no server: none."""

    connections = 0
    counts = ClientCounts()
    connected: Collection[str] = ()
    serves = False
    wants_msgpack = False
    formats = FixedFormats(wants_msgpack=False)
    users_may_be_elsewhere = False

    def users(self, target: Target) -> Collection[str]:
        return ()

    def deliver(self, target: Target, message: EncodedMessage, exclude: Excluded | None) -> int:
        return 0

    def deliver_texts(self, target: Target, texts: Sequence[bytes]) -> None:
        pass

    def revoke(self, revocations: Collection[Revocation], *, late: bool) -> int:
        return 0

    def claimed(self, user: str, claim: Claim) -> None:
        pass

    def restored(self) -> None:
        pass

    def rooms_of(self, namespace: str) -> Iterable[ToRoom]:
        return ()

    def room_changed(self, room: ToRoom, at: LogPosition | None, reason: str | None) -> None:
        pass

    def send(
        self,
        target: Target,
        event: str,
        data: Any,
        exclude: Excluded | None,
        local: bool,
        policy: SendPolicy | None = None,
    ) -> None:
        pass

    async def gather(self, target: Target, event: str, data: Any, timeout: float, kind: PayloadType) -> Replies:
        return Replies()

    async def close(self, target: Target, code: int, reason: str) -> Replies:
        return Replies()

    async def count(self, target: Target) -> Tally:
        return Tally(0)

    async def members(self, room: ToRoom) -> Roster:
        return Roster()

    async def locate(self, target: Target, prefix: str, limit: int) -> Locations:
        return Locations()

    async def list_rooms(self, namespace: str | None, prefix: str, limit: int) -> RoomList:
        return RoomList()

    async def add(self, room: ToRoom, user: str) -> Replies:
        return Replies()

    async def remove(self, room: ToRoom, user: str) -> Replies:
        return Replies()

    async def clear(self, room: ToRoom) -> Replies:
        return Replies()
