"""Audiences of an emitter: whom a message is for, with methods that block."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from crosswire.core.audience import require_close_code, require_message_id, require_reason
from crosswire.core.event_policies import PolicyName, SendPolicy, given_policy
from crosswire.core.names import require_event
from crosswire.core.targets import Excludable, Excluded, Target, ToRoom, excluding
from crosswire.types import Position, Replies, Tally


class BlockingDispatcher(Protocol):
    """Carries out the methods of an emitter's audiences, which have checked the arguments."""

    def to_clients(
        self, target: Target, event: str, data: Any, exclude: Excluded | None, policy: SendPolicy | None
    ) -> None:
        """Send an event to the clients of a target."""

    def publish(self, room: ToRoom, event: str, data: Any, id: str | None) -> Position:
        """Send an event to a room that keeps history, and return its position there."""
        ...

    def close_clients(self, target: Target, code: int, reason: str) -> Replies[int]:
        """Close the connections of a target's clients."""
        ...

    def count_users(self, target: Target) -> Tally:
        """Count the users of a target."""
        ...


class EmitterAudience:
    """Recipients of messages, wherever they are connected. An :class:`Emitter` makes it; that costs next to nothing."""

    __slots__ = ("_dispatcher", "target")

    def __init__(self, target: Target, dispatcher: BlockingDispatcher) -> None:
        self.target = target
        self._dispatcher = dispatcher

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.target!r}>"

    def send(
        self,
        event: str,
        data: Any = None,
        *,
        exclude: Iterable[str | Excludable] = (),
        policy: PolicyName | None = None,
        key: str | None = None,
    ) -> None:
        """Send an event to all users of the audience, and return when Redis has acknowledged it.

        Args:
            event: its name.
            data: anything with a JSON form: builtin types, dataclasses, msgspec Structs, datetimes, ...
            exclude: user ids that are left out.
            policy: what happens to it for connections whose clients read too slowly; see ``Server.policy``.
            key: field of the data, for the policy "latest".

        Raises:
            BusUnavailable: no Redis can be reached, or none takes the message.
            InvalidPayload: ``data`` has no JSON form, or no field ``key``.
            NotConnected: the emitter is closed.
            UsageError: the event's name is empty or reserved, something that is excluded is no user id, or there is
                no such policy.
        """
        excluded = None if exclude == () else excluding(exclude)
        self._dispatcher.to_clients(self.target, require_event(event), data, excluded, given_policy(policy, key))

    def close(self, code: int = 1000, reason: str = "") -> Replies[int]:
        """Close all connections of these users with a WebSocket close code, and wait for the servers' answers.

        Returns:
            How many connections each server closed, by its name; a server that does not answer is in ``missing``.

        Raises:
            BusUnavailable: no Redis can be reached, or no node answers.
            NotConnected: the emitter is closed.
            UsageError: the code can't be sent, or the reason is not a string.
        """
        return self._dispatcher.close_clients(self.target, require_close_code(code), require_reason(reason))

    def count(self) -> Tally:
        """Count the users, each once, however many connections a user has; raises as :meth:`close`."""
        return self._dispatcher.count_users(self.target)


class EmitterRoom(EmitterAudience):
    """The members of a room, wherever they are connected."""

    __slots__ = ("_room",)

    def __init__(self, room: ToRoom, dispatcher: BlockingDispatcher) -> None:
        super().__init__(room, dispatcher)
        self._room = room

    def publish(self, event: str, data: Any = None, *, id: str | None = None) -> Position:
        """Send an event to the members of a room that keeps history, and return when the message is kept.

        Args:
            event: its name.
            data: as for :meth:`send`.
            id: of the message, 256 characters at most. A second one with this id within two minutes is neither kept nor
                sent: the position of the first is returned. So it is safe to publish again after an error.

        Returns:
            The position in the room's history behind the message.

        Raises:
            BusUnavailable: the message is not known to be kept; the text says whether it may be.
            ConfigError: the rooms of this namespace keep no history, as far as the running servers say.
            InvalidPayload, NotConnected, UsageError: as :meth:`send`.
        """
        return self._dispatcher.publish(self._room, require_event(event), data, require_message_id(id))
