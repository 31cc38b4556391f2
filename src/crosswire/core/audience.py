"""Audiences of messages: the verbs for applications, which check their arguments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from crosswire.core.event_policies import PolicyName, SendPolicy, given_policy
from crosswire.core.names import MAX_KEPT_NAME, require_event, require_name, require_prefix
from crosswire.core.options import require_limit, require_timeout
from crosswire.core.payload_types import PayloadType, payload_type
from crosswire.core.positions import LogPosition, parse_position
from crosswire.core.targets import Everyone, Excludable, Excluded, Target, ToRoom, ToUsers, excluding, room_of, user_ids
from crosswire.errors import SENDABLE, UsageError, may_be_sent
from crosswire.types import ANYTHING, HistoryPage, Locations, Position, Replies, Roster, T, Tally

if TYPE_CHECKING:
    from typing_extensions import TypeForm


MAX_MESSAGE_ID = 256
"""Characters of the id that an application gives a message."""
MAX_USERS = 1024
"""Users whose audiences are kept for their next messages; beyond it, all are forgotten."""
NOBODY: tuple[()] = ()
"""Value of ``exclude`` that leaves nobody out, which is compared by identity."""


class Dispatcher(Protocol):
    """Carries out the methods of audiences, which have checked the arguments."""

    def send(
        self,
        target: Target,
        event: str,
        data: Any,
        exclude: Excluded | None,
        local: bool,
        policy: SendPolicy | None = None,
    ) -> None:
        """Send an event; raises ``InvalidPayload`` if the data can't be encoded, or has no key that a policy needs."""

    async def gather(self, target: Target, event: str, data: Any, timeout: float, kind: PayloadType) -> Replies:
        """Call every user of the target; ``kind`` is what an answer is decoded into."""
        ...

    async def close(self, target: Target, code: int, reason: str) -> Replies:
        """Close every connection of the target."""
        ...

    async def count(self, target: Target) -> Tally:
        """Count the users of the target, each once."""
        ...

    async def members(self, room: ToRoom) -> Roster:
        """List the users who are in a room."""
        ...

    async def locate(self, target: Target, prefix: str, limit: int) -> Locations:
        """List the first ``limit`` users of the target whose ids begin with ``prefix``, with their nodes."""
        ...

    async def add(self, room: ToRoom, user: str) -> Replies:
        """Let every connection of a user join the room."""
        ...

    async def remove(self, room: ToRoom, user: str) -> Replies:
        """Let every connection of a user leave the room."""
        ...

    async def clear(self, room: ToRoom) -> Replies:
        """Remove every member from a room."""
        ...


class RoomDispatcher(Dispatcher, Protocol):
    """Carries out the methods of rooms too that keep history, and those for a single user."""

    def send_plain(self, target: Target, event: str, data: Any) -> None:
        """Do the same as :meth:`send` with nothing else given, as it mostly is.

        The event's name has not been checked.
        """

    def send_to_user(self, target: ToUsers, event: str, data: Any) -> None:
        """Do the same as :meth:`send_plain` for a target of one user."""

    async def publish(self, room: ToRoom, event: str, data: Any, id: str | None) -> Position:
        """Send an event to a room that keeps history, and return its position there once it is kept."""
        ...

    async def history(self, room: ToRoom, before: LogPosition | None, limit: int) -> HistoryPage:
        """Return the last messages that a room has kept, or those before a position."""
        ...


class Audience(msgspec.Struct, frozen=True, eq=False):
    """Recipients of messages, wherever they are connected. A server or a node makes it; that costs next to nothing."""

    # A Struct, which is made without a call of a Python function: an audience is often made for one message.
    target: Target
    _dispatcher: RoomDispatcher

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.target!r}>"

    def send(
        self,
        event: str,
        data: Any = None,
        *,
        exclude: Iterable[str | Excludable] = NOBODY,
        local: bool = False,
        policy: PolicyName | None = None,
        key: str | None = None,
    ) -> None:
        """Send an event to all users of the audience. Never waits.

        It may be called in any thread. In another than the event loop's, the data is encoded at once, and the event
        loop sends it, in the order in which the thread sends. If the loop does not keep up, the thread waits for it.

        Args:
            event: its name.
            data: anything with a JSON form: builtin types, dataclasses, msgspec Structs, datetimes, ...
            exclude: user ids (with all their connections) and single sockets that are left out.
            local: send only to users that are connected to this server.
            policy: what happens to it for connections whose clients read too slowly, instead of what ``policy`` of the
                server or node has declared for the event.
            key: field of the data, for the policy "latest".

        Raises:
            InvalidPayload: ``data`` has no JSON form, or no field ``key``.
            UsageError: the event's name is empty or reserved, something that is excluded is neither a user id nor
                a socket, or there is no such policy.
            NotConnected: the server or node has not been started, or was stopped.
            BusUnavailable: as ``Node.send``; in another thread, the event loop has taken nothing for 5 seconds, and too
                much waits.

        Example::

            server.room("chat", "1000").send("said", {"text": "hi"}, exclude=[socket])
        """
        if exclude is NOBODY and not local and policy is None and key is None:
            self._dispatcher.send_plain(self.target, event, data)
            return
        excluded = None if exclude is NOBODY else excluding(exclude)
        given = None if policy is None and key is None else given_policy(policy, key)
        self._dispatcher.send(self.target, require_event(event), data, excluded, local, given)

    async def gather(
        self, event: str, data: Any = None, *, timeout: float = 5, type: TypeForm[T] = ANYTHING
    ) -> Replies[T]:
        """Call all users of the audience and wait for their answers, at most ``timeout`` seconds.

        Args:
            event: its name.
            data: as for :meth:`send`.
            timeout: seconds, or ``math.inf``.
            type: what an answer is decoded into; one that does not fit is among the errors, as :exc:`InvalidPayload`.

        Returns:
            The answers by user. A user with several connections answers once: the first answer counts.

        Raises:
            ConfigError: the type can't be decoded.
            InvalidPayload, UsageError: as :meth:`send`.
        """
        kind = payload_type(type)
        return await self._dispatcher.gather(self.target, require_event(event), data, require_timeout(timeout), kind)

    async def close(self, code: int = 1000, reason: str = "") -> Replies:
        """Close all connections of these users with a WebSocket close code.

        Returns:
            How many connections each node closed, by its name.
        """
        return await self._dispatcher.close(self.target, require_close_code(code), require_reason(reason))

    async def count(self) -> Tally:
        """Count the users, each once, however many connections a user has."""
        return await self._dispatcher.count(self.target)

    async def locate(self, *, prefix: str = "", limit: int = 1000) -> Locations:
        """List the users that are connected, in order of their ids, with the nodes that they are connected to.

        Args:
            prefix: the beginning of the ids of users that are listed.
            limit: number of users that are listed, at most 10,000; each node sends no more than these.

        Example::

            where = await server.user("13").locate()
            print(where.users)  # {"13": {"chat-2": 1}}
        """
        return await self._dispatcher.locate(self.target, require_prefix(prefix), require_limit(limit))


class UserAudience(Audience, frozen=True, eq=False):
    """Audience of one user, on all connections. Its messages take a shorter way, as long as they need no options."""

    target: ToUsers

    def send(
        self,
        event: str,
        data: Any = None,
        *,
        exclude: Iterable[str | Excludable] = NOBODY,
        local: bool = False,
        policy: PolicyName | None = None,
        key: str | None = None,
    ) -> None:
        """Send an event to the user, as :meth:`Audience.send` does."""
        if exclude is not NOBODY or local or policy is not None or key is not None:
            super().send(event, data, exclude=exclude, local=local, policy=policy, key=key)
            return
        self._dispatcher.send_to_user(self.target, event, data)


class Room(Audience, frozen=True, eq=False):
    """The members of one room, and the room itself."""

    target: ToRoom

    async def publish(self, event: str, data: Any = None, *, id: str | None = None) -> Position:
        """Send an event to the members of a room that keeps history, and return when the message is kept.

        With :meth:`send`, nobody is told if a message is lost, as in a failure of the server that sends it.

        Args:
            event: its name.
            data: as for :meth:`send`.
            id: of the message, 256 characters at most. A second one with this id within two minutes is neither kept nor
                sent: the position of the first is returned. So it is safe to publish again after an error.

        Returns:
            The position in the room's history behind the message.

        Raises:
            BusUnavailable: within 5 seconds, the message is not known to be kept; the text says whether it may be.
            ConfigError: the rooms of this namespace keep no history.
            InvalidPayload, UsageError, NotConnected: as :meth:`send`.

        Example::

            position = await server.room("orders", "17").publish("paid", {"amount": 20}, id="order-17-paid")
        """
        return await self._dispatcher.publish(self.target, require_event(event), data, require_message_id(id))

    async def history(self, *, limit: int = 50, before: Position | None = None) -> HistoryPage:
        """Read the last messages that the room has kept, or the last before a position.

        Messages that exclude users are there too.

        Args:
            limit: number of messages, at most 10,000; a room keeps as many as ``history`` of the server says.
            before: the position of a message, as an earlier page has it. If the room's log was begun anew since then,
                what was before it can't be had: the page is empty, and not complete.

        Raises:
            BusUnavailable: the log of the room can't be read.
            ConfigError: the rooms of this namespace keep no history.
            UsageError: the limit or the position is none.
            NotConnected: as :meth:`send`.

        Example::

            page = await server.room("chat", "1000").history(limit=20)
            older = await server.room("chat", "1000").history(limit=20, before=page.messages[0].position)
        """
        return await self._dispatcher.history(self.target, require_position(before), require_limit(limit))

    async def add(self, user: str) -> Replies:
        """Let a user join the room, on every server.

        Returns:
            How many of the user's connections joined, by node; a node that refused one is in ``errors``.
        """
        return await self._dispatcher.add(self.target, require_name(user, "a user id"))

    async def remove(self, user: str) -> Replies:
        """Let a user leave the room, on every server.

        Returns:
            How many of the user's connections left, by node.
        """
        return await self._dispatcher.remove(self.target, require_name(user, "a user id"))

    async def members(self) -> Roster:
        """List the users in the room."""
        return await self._dispatcher.members(self.target)

    async def clear(self) -> Replies:
        """Remove every member from the room, on every server.

        Returns:
            How many connections left, by node.
        """
        return await self._dispatcher.clear(self.target)


class Audiences:
    """Factory of the audiences of one dispatcher.

    Attributes:
        everyone: the audience of all users.
        known: those of single users that :meth:`user` has made lately.
    """

    __slots__ = ("_dispatcher", "everyone", "known")

    def __init__(self, dispatcher: RoomDispatcher) -> None:
        self._dispatcher = dispatcher
        self.everyone = Audience(Everyone(), dispatcher)
        self.known: dict[str, UserAudience] = {}

    def user(self, id: str) -> Audience:
        """Return the audience of one user, on all its connections."""
        target = ToUsers((require_name(id, "a user id"),), one=True)
        audience = UserAudience(target, self._dispatcher)
        if len(id) <= MAX_KEPT_NAME:
            if len(self.known) >= MAX_USERS:
                self.known.clear()
            self.known[id] = audience  # most users are sent more than one message
        return audience

    def users(self, ids: Iterable[str]) -> Audience:
        """Return the audience of some users; each is reached once, however often it is named."""
        return Audience(ToUsers(user_ids(ids, "users()")), self._dispatcher)

    def room(self, namespace: str, id: str) -> Room:
        """Return a room and the audience of its members."""
        return Room(room_of(namespace, id), self._dispatcher)


def require_message_id(value: object) -> str | None:
    """Check the id that an application gives a message; None for none.

    Raises:
        UsageError: it is empty, no string, or too long.
    """
    if value is None:
        return None
    id_ = require_name(value, "the id of a message")
    if len(id_) > MAX_MESSAGE_ID:
        raise UsageError(f"the id of a message has at most {MAX_MESSAGE_ID} characters")
    return id_


def require_position(value: object) -> LogPosition | None:
    """Check a position in the history of a room; None for none.

    Raises:
        UsageError: it is no position.
    """
    if value is None:
        return None
    position = parse_position(value) if isinstance(value, str) else None
    if position is None:
        raise UsageError(f"{value!r} is no position: give one that a message of an earlier page has")
    return position


def require_close_code(value: object) -> int:
    """Check a close code that an application may send (RFC 6455, section 7.4.2).

    Raises:
        UsageError: it may not be sent.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise UsageError(f"a close code is an int, not {value!r}")
    if not may_be_sent(value):
        raise UsageError(f"the close code {value} can't be sent: {SENDABLE}")
    return value


def require_reason(value: object) -> str:
    """Check the reason of a close.

    Raises:
        UsageError: it is no string.
    """
    if not isinstance(value, str):
        raise UsageError(f"the reason of a close is a string, not {value!r}")
    return value
