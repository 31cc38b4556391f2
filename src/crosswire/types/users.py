"""Identities of users, and the nodes that they are connected to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Identity:
    """User of a connection, and how long and by which token the user is known. ``authenticate`` may return one.

    Attributes:
        user: the user's id.
        expires: when the connection's right ends, in seconds since 1970: before that the client is asked for a new
            token, and then closed with 4014. None if it does not end.
        token_id: id of the token, such as the ``jti`` of a JWT, by which ``Server.revoke`` finds it.
        issued_at: when the token was issued, in seconds since 1970. While ``Server.revoke`` of the user is remembered,
            an older token is refused. None if that is not known: then nothing but open connections is closed.
        claims: whatever else the token says, for the application.
    """

    user: str
    expires: float | None = None
    token_id: str | None = None
    issued_at: float | None = None
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Locations:
    """Users, and the nodes that they are connected to: the first users in order of their ids.

    Attributes:
        users: user id -> name of a node -> number of the user's connections there.
        total: number of users, with those that are not listed.
        exact: whether that is their number. It may be smaller if some are not listed, and with `duplicates="allow"`
            they are connected to several nodes.
        missing: names of the nodes that did not answer.
    """

    users: dict[str, dict[str, int]] = field(default_factory=dict)
    total: int = 0
    exact: bool = True
    missing: tuple[str, ...] = ()
