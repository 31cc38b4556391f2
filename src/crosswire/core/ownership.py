"""Choice of the node that owns a room, by rendezvous hashing: the same on every node that knows the same members."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import blake2b

from crosswire.core.options import require_strings
from crosswire.core.utf8 import has_utf8
from crosswire.errors import ConfigError

_SCORE_SIZE = 8
"""Bytes of a score: of two nodes, practically never the same."""


def owner_among(names: Iterable[str], namespace: str, id: str) -> str | None:
    """Return the name with the highest score for a room, or None if there are no names.

    When a name is added, only rooms move that it gets; when one goes, only those that it had. Each name gets about as
    many rooms as any other.
    """
    space = namespace.encode()
    room = blake2b(b"%d:%b%b" % (len(space), space, id.encode()), digest_size=_SCORE_SIZE).digest()
    return max(
        names, key=lambda name: (blake2b(name.encode(), digest_size=_SCORE_SIZE, key=room).digest(), name), default=None
    )


def may_own(owns: Collection[str] | None, namespace: str) -> bool:
    """Return whether a node with this option may own rooms of a namespace."""
    return owns is None or namespace in owns


def require_owns(value: object) -> tuple[str, ...] | None:
    """Return the namespaces whose rooms a node may own, or None for all.

    Raises:
        ConfigError: it is no collection of namespaces.
    """
    if value is None:
        return None
    namespaces = require_strings("owns", value)
    for each in namespaces:
        if not each or not has_utf8(each):
            raise ConfigError(f"owns: {each!r} can't be a namespace: give text that is not empty")
    return namespaces
