"""The users of this server and their connections."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Generic, TypeVar

from crosswire.core.formats import AnyOutbox
from crosswire.core.targets import Excluded
from crosswire.rooms.recipient import Recipient

MemberT = TypeVar("MemberT", bound=Recipient)


class UserIndex(Generic[MemberT]):
    """Index of connections by user. Every operation is O(1) in the number of users.

    Attributes:
        members: connections of all users on this server, with their outboxes; only the index changes it.
    """

    __slots__ = ("_by_user", "members")

    def __init__(self) -> None:
        self.members: dict[MemberT, AnyOutbox] = {}  # in order, so that what depends on it can be repeated
        # Nearly always there is one, which is kept without a tuple around it: an object less for the garbage collector.
        self._by_user: dict[str, MemberT | tuple[MemberT, ...]] = {}

    @property
    def users(self) -> Collection[str]:
        """Ids of all users that are connected."""
        return self._by_user.keys()

    def of(self, user: str) -> tuple[MemberT, ...]:
        """Return a user's connections, the oldest first."""
        known = self._by_user.get(user, ())
        return known if isinstance(known, tuple) else (known,)

    def excluded(self, exclude: Excluded, members: Mapping[MemberT, AnyOutbox]) -> Collection[MemberT]:
        """Return those of some members that are excluded."""
        found = {member: None for user in exclude.users for member in self.of(user) if member in members}
        sockets = set(exclude.sockets)
        if not sockets:
            return found
        for owner in exclude.owners:
            for member in self.of(owner):
                if member.id in sockets:
                    sockets.discard(member.id)
                    if member in members:
                        found[member] = None
        if sockets:  # of another server, or of a user who has another id since then
            found.update((member, None) for member in members if member.id in sockets)
        return found

    def add(self, member: MemberT) -> None:
        """Add a connection under its user."""
        self.members[member] = member.outbox
        user = member.user
        self._by_user[user] = (*self.of(user), member) if user in self._by_user else member

    def remove(self, member: MemberT) -> bool:
        """Remove a connection, but not others of its user; return False if it was not known."""
        if member not in self.members:
            return False
        del self.members[member]
        user = member.user
        if self._by_user[user] is member:
            del self._by_user[user]
            return True
        first, *others = [each for each in self.of(user) if each is not member]
        self._by_user[user] = (first, *others) if others else first
        return True
