"""A client's connection, as the application sees it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec import Raw

from crosswire.core import messages
from crosswire.core.audience import require_close_code, require_reason
from crosswire.core.codecs import JSON
from crosswire.core.event_policies import PolicyName, given_policy
from crosswire.core.frames import Opcode
from crosswire.core.names import require_event, require_name
from crosswire.core.options import require_timeout
from crosswire.core.payload_types import payload_type
from crosswire.core.skipped_messages import Droppable
from crosswire.core.targets import room_of
from crosswire.errors import InvalidPayload, Reject, UsageError
from crosswire.runtime.loop_thread import get_ident, wrong_thread
from crosswire.runtime.thread_calls import ThreadCalls
from crosswire.runtime.throttled_warnings import shown
from crosswire.server.client_calls import ClientCalling
from crosswire.server.client_gone import ClientGone
from crosswire.server.connected_client import ConnectedClient
from crosswire.server.duplicates import DuplicatePolicy
from crosswire.server.handshake import Handshake
from crosswire.server.registry import Registry
from crosswire.server.room_joins import RoomJoins
from crosswire.server.socket_policies import SocketPolicies
from crosswire.types import ANYTHING, CloseCode, Identity, T

if TYPE_CHECKING:
    from typing_extensions import TypeForm


@dataclass(slots=True)
class SocketParts:
    """Parts of a server that its sockets share.

    Attributes:
        registry: the connections by user and room.
        joins: lets connections into rooms.
        duplicates: decides which connection of a user stays.
        calls: calls clients; replaced by what measures or traces them.
        thread_calls: the calls of other threads; replaced by those of the server's node.
        policies: of what is sent to single connections; replaced by those of the server's node.
        thread: the event loop's.
    """

    registry: Registry[ConnectedClient[Socket]]
    joins: RoomJoins
    duplicates: DuplicatePolicy
    calls: ClientCalling
    thread_calls: ThreadCalls
    policies: SocketPolicies
    thread: int = 0


class Socket:
    """A client's connection to this server.

    Attributes:
        handshake: the HTTP request it began with.
    """

    __slots__ = (
        "__weakref__",
        "_client",
        "_data",
        "_parts",
        "handshake",
    )

    def __init__(self, client: ConnectedClient[Socket], handshake: Handshake, parts: SocketParts) -> None:
        self.handshake = handshake
        self._client = client
        self._data: dict[str, Any] | None = None  # until it is used: an empty one takes 64 bytes
        self._parts = parts

    def __repr__(self) -> str:
        return f"<Socket {self.id} user={shown(self.user)!r}{'' if self.is_open else ' closed'}>"

    @property
    def id(self) -> str:
        """Id that no other connection has."""
        return self._client.id

    @property
    def user(self) -> str:
        """User of the connection; its id until ``authenticate`` or :meth:`identify` gives another."""
        return self._client.user

    @property
    def identity(self) -> Identity | None:
        """The :class:`Identity` that ``authenticate`` returned last, with the claims of a token; None without one."""
        authority = self._client.authority
        return None if authority is None else authority.identity

    @property
    def data(self) -> dict[str, Any]:
        """Dict of yours, for what belongs to the connection."""
        if self._data is None:
            self._data = {}
        return self._data

    @data.setter
    def data(self, data: dict[str, Any]) -> None:
        self._data = data

    @property
    def is_open(self) -> bool:
        """Whether the connection can still be sent to."""
        return self._client.is_open

    @property
    def rooms(self) -> dict[str, set[str]]:
        """Rooms it is in, namespace -> ids, as a copy; after the close, the rooms it was in last."""
        return self._client.rooms

    @property
    def latency(self) -> float | None:
        """Milliseconds of the last ping's round trip; None before the first pong."""
        return self._client.keepalive.latency

    @property
    def buffered(self) -> int:
        """Number of bytes that wait to be sent."""
        self._require_thread()
        return self._client.buffered

    async def drained(self, below: int = 64 * 1024) -> None:
        """Wait until fewer than ``below`` bytes wait to be sent, to send much data as fast as the client reads it.

        It always takes a turn of the event loop at least, so that others are served between the parts.

        Raises:
            NotConnected: the connection is closed, or ends meanwhile.
            UsageError: ``below`` is not a whole number greater than 0.
        """
        _require_size(below)
        self._client.require_open()
        self._require_thread()
        await asyncio.sleep(0)  # other connections have their turn, however fast this one reads
        if not await self._client.drained(below):
            raise ClientGone(self._client, f"the connection of user {self.user!r} was closed before all was sent")

    def send(self, event: str, data: Any = None, *, policy: PolicyName | None = None, key: str | None = None) -> None:
        """Send an event. Never waits; to a closed socket it does nothing.

        :meth:`send`, :meth:`send_raw` and :meth:`close` may be called in any thread, as ``Audience.send``; all else
        only in the event loop's.

        Args:
            event: its name.
            data: as for ``Audience.send``.
            policy: as for ``Audience.send``.
            key: as for ``Audience.send``.

        Raises:
            InvalidPayload: ``data`` can't be encoded, or has no field ``key``.
            UsageError: the event's name is empty or reserved, or there is no such policy.
            NotConnected, BusUnavailable: as ``Audience.send``, in another thread than the event loop's.
        """
        require_event(event)
        droppable, parts = None, self._parts
        if policy is not None or key is not None or event in parts.policies.declared:
            droppable = parts.policies.droppable(event, data, given_policy(policy, key))
        if get_ident() != parts.thread:
            text = JSON.encode(data)  # at once: the thread may change the data afterwards
            parts.thread_calls.hand_over(len(text), self._send_for_thread, event, Raw(text), droppable)
            return
        client = self._client
        encoded = client.encode(messages.event(event, data))
        if droppable is None:
            client.send_encoded(encoded)
        else:
            client.offer_encoded(encoded, droppable)

    def _send_for_thread(self, event: str, data: Raw, droppable: Droppable | None) -> None:
        client = self._client
        encoded = client.encode(messages.event(event, data))
        if droppable is None:
            client.send_encoded(encoded)
        else:
            client.offer_encoded(encoded, droppable)

    def send_raw(self, message: str | bytes) -> None:
        """Send a message of your own protocol: text for a str, binary for bytes.

        Raises:
            InvalidPayload: a str has no UTF-8 form.
            NotConnected, BusUnavailable: as :meth:`send`.
        """
        client = self._client
        try:
            payload = message.encode() if isinstance(message, str) else bytes(message)
        except UnicodeEncodeError as error:
            raise InvalidPayload(f"the message has no UTF-8 form: {error}") from error
        encoded = client.format.raw(Opcode.TEXT if isinstance(message, str) else Opcode.BINARY, payload)
        if get_ident() != self._parts.thread:
            self._parts.thread_calls.hand_over(len(payload), client.send_encoded, encoded)
        else:
            client.send_encoded(encoded)

    async def call(self, event: str, data: Any = None, *, timeout: float = 5, type: TypeForm[T] = ANYTHING) -> T:
        """Call the client and return its answer.

        Args:
            event: its name.
            data: as for :meth:`send`.
            timeout: seconds, or ``math.inf``.
            type: what the answer is decoded into and must fit: as for a handler's data, a msgspec Struct, dataclass,
                TypedDict or builtin type.

        Raises:
            CallTimeout: no answer came in time.
            EventError: the client refused; :exc:`InvalidPayload`, its answer does not fit. ``CALL_LIMIT``: as many
                calls as may be wait for its answers.
            ConfigError: the type can't be decoded.
            NotConnected: the connection is closed, or ends before the answer comes.
            InvalidPayload, UsageError: as :meth:`send`.
        """
        self._require_thread()
        timeout = require_timeout(timeout)
        answer: T = await self._parts.calls.call(self._client, require_event(event), data, timeout, payload_type(type))
        return answer

    async def join(self, namespace: str, id: str, *, rewind: int = 0) -> None:
        """Join a room; when it returns, messages to the room reach this socket.

        Where the namespace keeps history, a client that comes back with a position gets what it has missed first, or is
        told that it can't be had.

        Args:
            namespace: of the room.
            id: of the room.
            rewind: number of the room's last messages that a client without a position gets first, as many as are kept.

        Raises:
            EventError: ``ROOM_LIMIT``: the connection is in as many rooms as the limit allows. ``JOIN_RATE``: it has
                joined as many rooms lately. ``NAME_TOO_LONG``: a name is longer than ``Limits.name``.
            BusUnavailable: the bus refuses the subscription; the socket is not in it.
            NotConnected: the connection is closed.
            ConfigError: something is to be rewound, and the namespace keeps no history.
            UsageError: a name is empty or not a string; ``rewind`` is not a whole number, 0 or more.
        """
        self._require_thread()
        room, client = room_of(namespace, id), self._client
        if rewind != 0:
            _require_rewind(rewind)
        client.require_open()
        await self._parts.joins.join((client,), room, rewind)

    async def leave(self, namespace: str, id: str) -> None:
        """Leave a room, if the socket is in it.

        Raises:
            UsageError: a name is empty or not a string.
        """
        self._require_thread()
        self._parts.joins.leave(self._client, room_of(namespace, id))

    async def identify(self, user: str) -> None:
        """Change the user of the connection, which keeps its rooms.

        Raises:
            Reject: the server refuses duplicates and the user is connected already; this socket is closed with 4012.
            EventError: ``NAME_TOO_LONG``: the user's id is longer than ``Limits.name``.
            BusUnavailable: the bus refuses the subscription; the socket keeps its former user.
            NotConnected: the connection is closed.
            UsageError: the user is empty or not a string.
        """
        self._require_thread()
        require_name(user, "a user id")
        client, registry, duplicates = self._client, self._parts.registry, self._parts.duplicates
        client.require_open()
        before = client.user
        if duplicates.keeps_out(client, user):
            await duplicates.drop_dead(user)
            client.require_open()
        if not registry.rename(client, user):
            refused = Reject(CloseCode.REPLACED, "the user is connected already")
            client.close(refused.close_code, refused.reason)
            raise refused
        try:
            await duplicates.announce(client)
        except BaseException:
            if client.is_open and client.user == user:
                registry.rename(client, before)
            raise
        if not client.is_open and duplicates.mode == "refuse":
            raise Reject(CloseCode.REPLACED, "the user is connected already")

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Start the closing handshake. At once the socket leaves its rooms, and no message reaches it any more.

        Raises:
            UsageError: the code can't be sent, or the reason is not a string.
            NotConnected, BusUnavailable: as :meth:`send`.
        """
        close, code, reason = self._client.close, require_close_code(code), require_reason(reason)
        if get_ident() != self._parts.thread:
            self._parts.thread_calls.hand_over(0, close, code, reason)
        else:
            close(code, reason)

    def enter_background(self) -> None:
        """Close the connection with 4013 after ``Heartbeat.background`` seconds, unless it enters the foreground.

        The client's application went to the background.
        """
        self._require_thread()
        self._client.enter_background()

    def enter_foreground(self) -> None:
        """Keep the connection open: the client's application is in the foreground again."""
        self._require_thread()
        self._client.enter_foreground()

    def _require_thread(self) -> None:
        if get_ident() != self._parts.thread:
            raise wrong_thread(f"the connection of user {self.user!r}")


def _require_rewind(rewind: object) -> None:
    if isinstance(rewind, bool) or not isinstance(rewind, int) or rewind < 0:
        raise UsageError(f"join(rewind={rewind!r}): give a number of messages, 0 or more")


def _require_size(below: object) -> None:
    if isinstance(below, bool) or not isinstance(below, int) or below <= 0:
        raise UsageError(f"drained(below={below!r}): give a whole number of bytes greater than 0")
