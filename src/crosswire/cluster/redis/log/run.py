"""The run of a Redis: the name of one life of its data."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from crosswire.cluster.redis.commands import command
from crosswire.cluster.redis.exchange import TEMPORARY_ERRORS
from crosswire.cluster.redis.link import Denied, Unreachable

ASK_SERVER = command(b"INFO", b"server")
"""The question for the process."""
ASK_REPLICATION = command(b"INFO", b"replication")
"""The question for the role, and for the replication of which the data are a part."""
_DIGEST_SIZE = 8
"""Bytes of the hash that is the run."""


class Run:
    """The run of a Redis, as it was told last.

    Redis gives each process an id, and each promotion another id of its replication. A Redis that lost its last data
    has another one of the two: the process started from an older dump, or it is a replica that was promoted, perhaps
    one that had been the master before and took over the data of another one in between.

    Attributes:
        name: of the run; empty until both answers were there.
    """

    __slots__ = ("_process", "name")

    def __init__(self) -> None:
        self._process = b""
        self.name = b""

    def take_server(self, reply: Any) -> None:
        """Read the answer to :data:`ASK_SERVER`.

        Raises:
            Unreachable: it is none.
        """
        self._process = _field(reply, b"run_id")

    def take_replication(self, reply: Any) -> None:
        """Read the answer to :data:`ASK_REPLICATION`.

        Raises:
            Unreachable: it is none, or that of a replica, which can keep nothing.
        """
        if (role := _field(reply, b"role")) != b"master":
            raise Unreachable(f"it is no master but a {role.decode(errors='replace')}, and can keep nothing")
        both = self._process + _field(reply, b"master_replid")
        self.name = blake2b(both, digest_size=_DIGEST_SIZE).hexdigest().encode()


def require_no_error(reply: Any) -> None:
    """Check the reply to a command without which a Redis can't keep anything.

    Raises:
        Denied: it is an error that will remain.
        Unreachable: it is another error.
    """
    if isinstance(reply, Exception):
        kind = Unreachable if str(reply).startswith(TEMPORARY_ERRORS) else Denied
        raise kind(str(reply))


def _field(reply: Any, name: bytes) -> bytes:
    require_no_error(reply)
    if isinstance(reply, bytes):
        for line in reply.splitlines():
            key, _, value = line.partition(b":")
            if key == name and value:
                return value
    raise Unreachable(f"INFO does not tell its {name.decode()}")
