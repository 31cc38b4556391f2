"""The users of this server and their connections."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Generic, TypeVar

from crosswire.core.formats import AnyOutbox
from crosswire.rooms.recipient import Recipient

MemberT = TypeVar("MemberT", bound=Recipient)


class UserIndex(Generic[MemberT]):
    """Index of connections by user. Every operation is O(1) in the number of users."""

    __slots__ = ("_by_user", "_members")

    def __init__(self) -> None:
        self._members: dict[MemberT, AnyOutbox] = {}  # in order, so that what depends on it can be repeated
        # Nearly always of length one, where a tuple needs a quarter of the memory of a set.
        self._by_user: dict[str, tuple[MemberT, ...]] = {}

    @property
    def members(self) -> Mapping[MemberT, AnyOutbox]:
        """Connections of all users on this server, with their outboxes."""
        return self._members

    @property
    def users(self) -> Collection[str]:
        """Ids of all users that are connected."""
        return self._by_user.keys()

    def of(self, user: str) -> tuple[MemberT, ...]:
        """Return a user's connections, the oldest first."""
        return self._by_user.get(user, ())

    def add(self, member: MemberT) -> None:
        """Add a connection under its user."""
        self._members[member] = member.outbox
        self._by_user[member.user] = (*self.of(member.user), member)

    def remove(self, member: MemberT) -> bool:
        """Remove a connection, but not others of its user; return False if it was not known."""
        if member not in self._members:
            return False
        del self._members[member]
        others = tuple(each for each in self.of(member.user) if each is not member)
        if others:
            self._by_user[member.user] = others
        else:
            del self._by_user[member.user]
        return True
