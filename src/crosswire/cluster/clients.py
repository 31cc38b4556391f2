"""The clients of one node, as its part in the cluster sees them: a server has some, a node that stands alone none."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from crosswire.cluster.dialect import ClientInbox
from crosswire.cluster.members import ClientLoad
from crosswire.core.audience import Dispatcher, Excluded, Target, ToRoom
from crosswire.core.envelopes import Claim
from crosswire.core.formats import Payloads
from crosswire.core.payloads import PayloadType
from crosswire.types import Replies, Roster, Tally


class Clients(Dispatcher, ClientInbox, ClientLoad, Protocol):
    """Carries out on one node what audiences are asked to do."""

    def users(self, target: Target) -> Collection[str]:
        """The users of a target that are connected here, each once."""
        ...

    @property
    def users_may_be_elsewhere(self) -> bool:
        """Whether a user who is connected here may be connected to other nodes too."""
        ...

    def restored(self) -> None:
        """Other nodes can be reached again, after they could not."""


class NoClients:
    """A node without clients."""

    connections = 0
    serves = False
    wants_msgpack = False
    users_may_be_elsewhere = False

    def users(self, target: Target) -> Collection[str]:
        """Nobody is here."""
        return ()

    def deliver(self, target: Target, payloads: Payloads, exclude: Excluded | None) -> None:
        """Do nothing."""

    def claimed(self, user: str, claim: Claim) -> None:
        """Do nothing."""

    def restored(self) -> None:
        """Do nothing."""

    def send(self, target: Target, event: str, data: Any, exclude: Excluded | None, local: bool) -> None:
        """Do nothing."""

    async def gather(self, target: Target, event: str, data: Any, timeout: float, kind: PayloadType) -> Replies:
        """Nobody answers."""
        return Replies()

    async def close(self, target: Target, code: int, reason: str) -> Replies:
        """Close nothing."""
        return Replies()

    async def count(self, target: Target) -> Tally:
        """Count nobody."""
        return Tally(0)

    async def members(self, room: ToRoom) -> Roster:
        """List nobody."""
        return Roster()

    async def add(self, room: ToRoom, user: str) -> Replies:
        """Add nobody."""
        return Replies()

    async def remove(self, room: ToRoom, user: str) -> Replies:
        """Remove nobody."""
        return Replies()

    async def clear(self, room: ToRoom) -> Replies:
        """Return the answer of no clients."""
        return Replies()
