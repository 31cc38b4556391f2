"""Makes the client and the socket of each connection."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable

from crosswire.core.formats import Encode, Format
from crosswire.core.limits import Heartbeat
from crosswire.core.messages import KEEPS_POSITIONS
from crosswire.rooms.fanout import FanOut
from crosswire.runtime import environment
from crosswire.runtime.loop_thread import get_ident
from crosswire.runtime.thread_calls import ThreadCalls
from crosswire.runtime.timer_wheel import TimerWheel
from crosswire.server.client_calls import ClientCalling
from crosswire.server.connected_client import ConnectedClient
from crosswire.server.duplicates import DuplicatePolicy
from crosswire.server.handshake import Handshake
from crosswire.server.offered_positions import OfferedPositions
from crosswire.server.registry import Registry
from crosswire.server.room_joins import RoomJoins
from crosswire.server.socket import Socket
from crosswire.server.socket_policies import SocketPolicies
from crosswire.transport.interface import Connection

ID_BYTES, ID_LETTERS = 12, 16
"""Length of an id before and after it is encoded in base64."""
IDS_AT_ONCE = 64
"""Number of ids that are made with one system call."""


class ClientFactory:
    """Makes the client and the socket of each connection, with the parts of the server that they use.

    Args:
        registry: the connections by user and room.
        fanout: pushes messages to many.
        joins: lets connections into rooms.
        duplicates: decides which connection of a user stays.
        heartbeat: how dead peers are found.
        wheel: for the timers of connections.
        calls: calls clients.
        policies: of what is sent to single connections.
        max_calls: maximum number of calls to one client that are not answered yet.

    Attributes:
        calls: as given; replaced by what measures or traces them.
        encoder: returns the function that encodes messages to a single connection in a format; replaced likewise.
        thread_calls: the calls of other threads; replaced by those of the server's node.
        policies: as given; replaced by those of the server's node.
    """

    __slots__ = (
        "_duplicates",
        "_encoders",
        "_fanout",
        "_heartbeat",
        "_ids",
        "_joins",
        "_max_calls",
        "_registry",
        "_wheel",
        "calls",
        "encoder",
        "policies",
        "thread_calls",
    )

    def __init__(
        self,
        registry: Registry[ConnectedClient[Socket]],
        fanout: FanOut,
        joins: RoomJoins,
        duplicates: DuplicatePolicy,
        heartbeat: Heartbeat,
        wheel: TimerWheel,
        calls: ClientCalling,
        policies: SocketPolicies,
        max_calls: int,
    ) -> None:
        self._max_calls = max_calls
        self._registry = registry
        self._fanout = fanout
        self._joins = joins
        self._duplicates = duplicates
        self._heartbeat = heartbeat
        self._wheel = wheel
        self.calls = calls
        self.encoder: Callable[[Format], Encode] = _encoder_of
        self._encoders: dict[Format, Encode] = {}
        self._ids = SocketIds()
        self.thread_calls = ThreadCalls()
        self.policies = policies

    def make(self, connection: Connection, format: Format, handshake: Handshake, level: int) -> ConnectedClient[Socket]:
        """Return the client of a new connection, with its socket; to be called in the event loop's thread.

        Args:
            connection: as it was opened.
            format: of messages to it.
            handshake: the request that it began with.
            level: of the protocol that the client announces there.
        """
        if (encode := self._encoders.get(format)) is None:
            encode = self._encoders[format] = self.encoder(format)
        client: ConnectedClient[Socket] = ConnectedClient(
            self._ids.next(),
            connection,
            format,
            encode,
            self._registry,
            self._fanout,
            self._heartbeat,
            self._wheel,
            self._max_calls,
        )
        positions = handshake.take_positions()
        if level >= KEEPS_POSITIONS:
            client.offered = OfferedPositions(positions)
        client.socket = Socket(
            client,
            handshake,
            self._registry,
            self._joins,
            self._duplicates,
            self.calls,
            get_ident(),
            self.thread_calls,
            self.policies,
        )
        return client


def _encoder_of(format: Format) -> Encode:
    return format.encode


class SocketIds:
    """Ids that nobody can guess: 96 bits from the operating system's generator.

    One system call makes many ids, to save time. The first ids are made only when one is needed: processes that are
    forked before they serve must not have the same ids.
    """

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: list[str] = []

    def next(self) -> str:
        """Return an id that was not returned before."""
        if not self._left:
            text = urlsafe_b64encode(environment.urandom(ID_BYTES * IDS_AT_ONCE)).decode("ascii")
            self._left = [text[start : start + ID_LETTERS] for start in range(0, len(text), ID_LETTERS)]
        return self._left.pop()
