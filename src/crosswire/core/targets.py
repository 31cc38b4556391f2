"""Targets of messages, as plain values that can cross the network, and who of them is left out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from crosswire.core.names import require_name
from crosswire.errors import UsageError


class Everyone(msgspec.Struct, frozen=True, tag="everyone"):
    """Every user, as the target of a message."""


class ToUsers(msgspec.Struct, frozen=True, tag="users"):
    """Some users, wherever they are connected.

    Attributes:
        users: their ids.
        one: whether a single user was named, rather than a list with one user.
    """

    users: tuple[str, ...]
    one: bool = False


class ToRoom(msgspec.Struct, frozen=True, tag="room"):
    """The members of a room."""

    namespace: str
    id: str


Target = Everyone | ToUsers | ToRoom


class Excludable(Protocol):
    """A single connection that ``exclude=`` can name: a ``Socket``."""

    @property
    def user(self) -> str:
        """Id of the user whose connection it is."""
        ...

    @property
    def id(self) -> str:
        """An id that no other connection has."""
        ...


class Excluded(msgspec.Struct, frozen=True, gc=False):
    """Users and sockets that are left out of a message. If there are none, None is used instead.

    Attributes:
        users: ids of users, with all their connections.
        sockets: ids of single connections.
        owners: users whose connections ``sockets`` are. From the history of a room, a connection that replaces one of
            these gets the message neither.
    """

    users: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()


def room_of(namespace: str, id: str) -> ToRoom:
    """Check a room's two names.

    Raises:
        UsageError: one is empty or no string.
    """
    # Nearly always, and fast; what it says of a name is what `require_name` says.
    if type(namespace) is str and type(id) is str and namespace and id and namespace.isascii() and id.isascii():
        return ToRoom(namespace, id)
    return ToRoom(require_name(namespace, "a room's namespace"), require_name(id, "a room's id"))


def user_ids(users: Iterable[str], what: str) -> tuple[str, ...]:
    """Check a collection of user ids.

    Raises:
        UsageError: it is a single string, or one of them is empty or no string.
    """
    if isinstance(users, str):
        raise UsageError(f"{what} takes a collection of user ids, not one string: write [{users!r}]")
    return tuple(require_name(user, "a user id") for user in users)


def excluding(exclude: Iterable[str | Excludable]) -> Excluded | None:
    """Sort the items of ``exclude`` into users and sockets; return None if there are none.

    Raises:
        UsageError: it is a single string or socket, or something in it is neither a user id nor a socket.
    """
    if isinstance(exclude, str) or not isinstance(exclude, Iterable):
        raise UsageError(f"exclude takes a collection of user ids and sockets: write [{exclude!r}]")
    users: list[str] = []
    sockets: list[str] = []
    owners: list[str] = []
    for each in exclude:
        if isinstance(each, str):
            users.append(require_name(each, "a user id"))
        elif isinstance(getattr(each, "user", None), str) and isinstance(getattr(each, "id", None), str):
            sockets.append(each.id)
            owners.append(each.user)
        else:
            raise UsageError(f"exclude takes user ids and sockets, not {each!r}")
    return Excluded(tuple(users), tuple(sockets), tuple(owners)) if users or sockets else None
