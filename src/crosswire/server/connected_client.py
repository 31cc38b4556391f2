"""The client at the other end of a connection, as the parts of the server use it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from crosswire.core.formats import AnyOutbox, Encode, Encoded, Format, Offer
from crosswire.core.limits import Heartbeat
from crosswire.core.messages import CallbackAnswer
from crosswire.core.pending_calls import PendingCalls
from crosswire.core.skipped_messages import Droppable
from crosswire.errors import EventError
from crosswire.rooms.fanout import FanOut
from crosswire.runtime.timer_wheel import Timer, TimerWheel
from crosswire.server.authority import Authority
from crosswire.server.client_calls import PendingClientRequest
from crosswire.server.client_gone import ClientGone
from crosswire.server.heartbeat_watch import HeartbeatWatch
from crosswire.server.keepalive import Keepalive
from crosswire.server.offered_positions import OfferedPositions
from crosswire.server.registry import Registry
from crosswire.transport.interface import Connection
from crosswire.types import Close, CloseCode

SocketT = TypeVar("SocketT")
"""Type of the application's view of a client: the class ``Socket``, which this module can't import."""

PAUSED_CHECK = 1.0
"""Seconds between two checks whether the peer of a connection that is not read is still there."""
CHECKS_OF_HALF_CLOSED = 5
"""Number of these checks after which a peer that sends nothing more is gone too: so long its last messages can wait."""


@dataclass(slots=True)
class ClientParts(Generic[SocketT]):
    """Parts of a server that its clients share.

    Attributes:
        registry: knows the connections of each user and room.
        fanout: flushed before each message, so that it does not overtake earlier messages to many clients.
        heartbeat: times of the pings.
        wheel: for the timers.
        max_calls: maximum number of calls to one client that are not answered yet.
    """

    registry: Registry[ConnectedClient[SocketT]]
    fanout: FanOut
    heartbeat: Heartbeat
    wheel: TimerWheel
    max_calls: int


class Asked(Protocol[SocketT]):
    """Session of a client that has called, as far as the answer needs it.

    Attributes:
        client: the client.
    """

    client: ConnectedClient[SocketT]


class ConnectedClient(Generic[SocketT]):
    """A connected client: queues messages for it, and keeps its user, rooms and pending calls until the end.

    Args:
        id: unique to the connection.
        connection: carries the messages.
        format: how messages to it are encoded.
        encode: encodes messages that only this client gets, in that format.
        parts: of the server.

    Attributes:
        id: as given.
        is_open: whether messages can still be sent to it.
        user: id of the user whose connection it is; at first the same as ``id``.
        format: as given.
        encode: as given.
        outbox: queue of its messages, for the fan-out only; all other code uses :meth:`send_encoded`.
        joins_until: time at which all joins so far would have come at the rate that the limit allows.
        stamp: time at which the connection came, to compare it with the user's connections to other servers.
        keepalive: finds out whether the client is alive, by pings or by its heartbeats.
        socket: the application's view of the connection; deleted when the connection closes.
        authority: what is known of its user besides the id; None if there is nothing.
        offered: positions in rooms that it came back with; None if it keeps none, as the original's clients.
    """

    __slots__ = (
        "_background",
        "_calls",
        "_checks",
        "_connection",
        "_fanout",
        "_on_called",
        "_parts",
        "_paused",
        "_rooms_left",
        "authority",
        "encode",
        "format",
        "id",
        "is_open",
        "joins_until",
        "keepalive",
        "offered",
        "outbox",
        "socket",
        "stamp",
        "user",
    )

    def __init__(
        self,
        id: str,
        connection: Connection,
        format: Format,
        encode: Encode,
        parts: ClientParts[SocketT],
    ) -> None:
        self._parts = parts
        self._fanout = parts.fanout
        self.id = id
        self.is_open = True
        self.user = id
        self.stamp = 0
        self.joins_until = 0.0
        self.authority: Authority | None = None
        self.offered: OfferedPositions | None = None
        self.format = format
        self.encode = encode
        self.outbox: AnyOutbox = connection.outbox
        watch = Keepalive if connection.can_ping else HeartbeatWatch
        self.keepalive: Keepalive | HeartbeatWatch = watch(connection, parts.heartbeat, parts.wheel)
        self.socket: SocketT
        self._connection = connection
        self._calls: PendingCalls[PendingClientRequest] | None = None
        self._background: Timer | None = None
        self._rooms_left: Mapping[str, Collection[str]]
        self._on_called: Callable[[], None] | None = None
        self._paused: Timer | None = None
        self._checks = 0

    def __repr__(self) -> str:
        return f"<ConnectedClient {self.id}>"

    @property
    def rooms(self) -> dict[str, set[str]]:
        """Rooms it is in, namespace -> ids, as a copy; after the close, the rooms it was in last."""
        rooms = self._parts.registry.rooms.rooms_of(self) if self.is_open else self._rooms_left
        return {namespace: set(ids) for namespace, ids in rooms.items()}

    # Sending

    def send_encoded(self, encoded: Encoded) -> None:
        """Queue a message that ``format`` has encoded, behind earlier messages to many clients."""
        fanout = self._fanout
        if fanout.held_for is not None:
            fanout.flush_for(self)
        fanout.sent += 1
        self.outbox.push(encoded)

    @staticmethod
    def answer(asked: Asked[SocketT], callback_id: str, value: Any) -> None:
        """Queue the answer to a call of a session's client. Taking the session spares a function around this one.

        Raises:
            InvalidPayload: the value can't be sent.
        """
        client = asked.client
        encode, fanout = client.encode, client._fanout
        encoded = encode(CallbackAnswer(value, callback_id))
        if fanout.held_for is not None:  # the rest is `send_encoded`, which would be one call more
            fanout.flush_for(client)
        fanout.sent += 1
        client.outbox.push(encoded)

    def send_texts(self, texts: Sequence[bytes]) -> None:
        """Queue several messages at once, of which there is JSON alone, behind earlier messages to many clients."""
        fanout = self._fanout
        encoded = self.format.wrap_texts(texts)
        if fanout.held_for is not None:
            fanout.flush_for(self)
        fanout.sent += len(texts)
        self.outbox.push(encoded)

    def offer_encoded(self, encoded: Encoded, droppable: Droppable) -> None:
        """Do the same as :meth:`send_encoded` with a message that need not be sent to a client that is behind."""
        fanout = self._fanout
        fanout.flush_for(self)
        fanout.sent += 1
        self._connection.offer(encoded, droppable)

    @property
    def offer(self) -> Offer:
        """Function of the connection that the fan-out uses; all other code uses :meth:`offer_encoded`."""
        return self._connection.offer

    @property
    def behind(self) -> bool:
        """Whether the client has not taken what was sent before."""
        return self._connection.behind

    @property
    def buffered(self) -> int:
        """Bytes that wait to be sent."""
        self._fanout.flush()
        return self._connection.buffered

    async def drained(self, below: int) -> bool:
        """Wait until fewer than ``below`` bytes wait to be sent; return False if the connection ends meanwhile."""
        while self.buffered >= below:
            if not await self._connection.drained(below) or not self.is_open:
                return False
        return True

    # Calls

    def expect(self, call_id: str, waiter: PendingClientRequest) -> None:
        """Give the answer to a call to ``waiter`` when it comes.

        Raises:
            NotConnected: the connection is closed.
            EventError: ``CALL_LIMIT``, as many calls to it as may be are not answered yet.
        """
        self.require_open()
        if self._calls is None:
            self._calls = PendingCalls()
        elif len(self._calls) >= (max_calls := self._parts.max_calls):
            raise EventError("CALL_LIMIT", f"{max_calls} calls to a client are not answered yet", sender=self.user)
        self._calls.add(call_id, waiter)
        if self._on_called is not None:
            self._on_called()

    def forget(self, call_id: str) -> PendingClientRequest | None:
        """Stop waiting for the answer to a call; return its waiter, or None if the call is not pending."""
        return self._calls.take(call_id) if self._calls is not None else None

    @property
    def awaits_answers(self) -> bool:
        """Whether calls to it are pending."""
        return bool(self._calls)

    # Reading

    def pause_reading(self, on_called: Callable[[], None]) -> None:
        """Stop reading from the connection. Until it is read again, silence does not mean that the client is dead.

        Args:
            on_called: called when the server calls the client, so that reading can go on for the answer.
        """
        if self._on_called is not None:
            return
        self._on_called = on_called
        self.keepalive.paused = True
        self._connection.pause_reading()
        self._checks = 0
        if self._paused is None:
            self._paused = self._parts.wheel.start(PAUSED_CHECK, self._check_peer)

    def resume_reading(self) -> None:
        """Read again, if reading was paused."""
        if self._on_called is None:
            return
        self._on_called = None
        self.keepalive.paused = False
        self.keepalive.heard = True
        self._connection.resume_reading()

    def _check_peer(self) -> None:
        """Drop a connection whose peer is gone while it is not read; the timer is not stopped by short pauses."""
        self._paused = None
        if self._on_called is None or not self.is_open:
            return
        self._checks += 1
        if self._connection.peer_has_left(half=self._checks >= CHECKS_OF_HALF_CLOSED):
            self.abort(Close(CloseCode.ABNORMAL, "the connection was lost"))
        else:
            self._paused = self._parts.wheel.start(PAUSED_CHECK, self._check_peer)

    # Liveness

    async def drop_if_dead(self) -> bool:
        """Ping the peer, and drop the connection unless it shows life within ``Heartbeat.probe`` seconds.

        Returns:
            Whether the connection is still there.
        """
        alive = await self.keepalive.probe(self._parts.heartbeat.probe)
        if self.is_open and not alive:
            self.abort(Close(CloseCode.ABNORMAL, "no sign of life when the user connected anew"))
        return self.is_open

    def enter_background(self) -> None:
        """Close the connection with 4013 after ``Heartbeat.background`` seconds, unless it enters the foreground."""
        if self._background is None and self.is_open:
            self._background = self._parts.wheel.start(self._parts.heartbeat.background, self._stayed_in_background)

    def enter_foreground(self) -> None:
        """Cancel :meth:`enter_background`: the connection stays open."""
        if self._background is not None:
            self._background.cancel()
            self._background = None

    def _stayed_in_background(self) -> None:
        self.close(CloseCode.BACKGROUND, "in the background for too long")

    # The end

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake, after :meth:`retire`."""
        self.retire()
        self._connection.close(code, reason)

    def abort(self, close: Close) -> None:
        """Drop the connection, which ends with ``close``, after :meth:`retire`."""
        self.retire()
        self._connection.abort(close)

    def retire(self) -> None:
        """Leave user and rooms, and fail the pending calls, as the connection is closing or gone.

        Does nothing when it is called again.
        """
        if not self.is_open:
            return
        self._rooms_left = self._parts.registry.drop(self)
        self.is_open = False
        self.keepalive.stop()
        if self._background is not None:
            self.enter_foreground()
        if self.authority is not None:
            self.authority.end()
        if self._paused is not None:
            self._paused.cancel()
        if self._calls is not None:
            for waiter in self._calls.take_all():
                waiter.lost(self)
        del self.socket  # a reference cycle, which only the garbage collector would free

    def require_open(self) -> None:
        """Check that the connection is open.

        Raises:
            NotConnected: it is closed.
        """
        if not self.is_open:
            raise ClientGone(self, f"the connection of user {self.user!r} is closed")
