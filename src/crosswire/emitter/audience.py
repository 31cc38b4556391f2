"""Audiences of an emitter: whom a message is for, with methods that block."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from crosswire.core.audience import Excludable, Excluded, Target, excluding
from crosswire.core.names import require_event


class BlockingDispatcher(Protocol):
    """Carries out the methods of an emitter's audiences, which have checked the arguments."""

    def to_clients(self, target: Target, event: str, data: Any, exclude: Excluded | None) -> None:
        """Send an event to the clients of a target."""


class EmitterAudience:
    """Recipients of messages, wherever they are connected. An :class:`Emitter` makes it; that costs next to nothing."""

    __slots__ = ("_dispatcher", "target")

    def __init__(self, target: Target, dispatcher: BlockingDispatcher) -> None:
        self.target = target
        self._dispatcher = dispatcher

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.target!r}>"

    def send(self, event: str, data: Any = None, *, exclude: Iterable[str | Excludable] = ()) -> None:
        """Send an event to all users of the audience, and return when Redis has acknowledged it.

        Args:
            event: its name.
            data: anything with a JSON form: builtin types, dataclasses, msgspec Structs, datetimes, ...
            exclude: user ids that are left out.

        Raises:
            BusUnavailable: no Redis can be reached, or none takes the message.
            InvalidPayload: ``data`` has no JSON form.
            NotConnected: the emitter is closed.
            UsageError: the event's name is empty or reserved, or something that is excluded is no user id.
        """
        excluded = None if exclude == () else excluding(exclude)
        self._dispatcher.to_clients(self.target, require_event(event), data, excluded)
