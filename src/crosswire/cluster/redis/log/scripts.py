"""The scripts that keep rooms' messages in a Redis, and the commands that run them.

The scripts themselves are in the folder ``lua``; they need Redis 6.2 or Valkey 8. What a command consists of is put
together from parts, as a node sends one for each batch of messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha1
from importlib.resources import files
from typing import NamedTuple

from crosswire.cluster.log.interface import Append, RoomLog
from crosswire.cluster.log.lifetimes import log_life, milliseconds
from crosswire.cluster.redis.commands import command
from crosswire.cluster.redis.log import announcements
from crosswire.core.log_records import SENDER_SIZE, pack_sender

MAX_READ = 256 * 1024
"""Bytes of messages after which a read ends; the rest is read with another command."""
_MAX_REMEMBERED = 4096
"""Number of logs whose part of the commands is remembered; beyond it, all are forgotten."""
_FRESH, _NEW_EPOCH, _IDS = 1, 2, 4
"""Flags of an append."""


class Script(NamedTuple):
    """A script of Redis.

    Attributes:
        text: in Lua.
        name: by which Redis knows it.
    """

    text: bytes
    name: bytes

    @property
    def load(self) -> bytes:
        """The command that makes the script known."""
        return command(b"SCRIPT", b"LOAD", self.text)


def _script(*names: str) -> Script:
    folder = files("crosswire.cluster.redis.log") / "lua"
    text = b"\n".join((folder / f"{name}.lua").read_bytes() for name in names)
    return Script(text, sha1(text, usedforsecurity=False).hexdigest().encode())


APPEND = _script("common", "append")
READ = _script("common", "read")
LAST_POSITIONS = _script("last_positions")
ANNOUNCE = _script("announce")
ALL = (APPEND, READ, LAST_POSITIONS, ANNOUNCE)
_COMMON_PARTS = 11
"""Parts of the command of an append or read up to the seed."""
_NO_OPTIONS = 3 * b"$1\r\n0\r\n"
"""Parts of an append without a message that may be missing in front of it, and without flags: most are like this."""
_APPEND_START = b"$7\r\nEVALSHA\r\n$40\r\n%b\r\n" % APPEND.name
_READ_START = b"$7\r\nEVALSHA\r\n$40\r\n%b\r\n" % READ.name


class Commands:
    """Makes the commands for one Redis.

    Args:
        prefix: the beginning of the names of all keys and channels.
        seed: random bytes, of which the scripts make the names of epochs.

    Attributes:
        run: the run of the Redis; see :meth:`use_run`.
    """

    def __init__(self, prefix: bytes, seed: bytes) -> None:
        self._prefix = prefix
        self._seed = seed
        self._common: dict[RoomLog, bytes] = {}  # see _common_parts
        self.run = b""

    def use_run(self, run: bytes) -> None:
        """Name another run of the Redis in commands from now on."""
        if run != self.run:
            self.run = run
            self._common.clear()

    def append(self, append: Append, *, is_fresh: bool = False) -> bytes:
        """Encode an append; ``is_fresh`` as for :meth:`read`."""
        log, origin, previous, messages, new_epoch, settling, _, _ = append
        has_ids, parts = False, list[bytes]()
        for each in messages:
            body = each.body
            parts.append(b"$%d\r\n%b%b\r\n" % (SENDER_SIZE + len(body), pack_sender(origin, each.number), body))
            has_ids = has_ids or each.id is not None
        options = _NO_OPTIONS
        if is_fresh or new_epoch or has_ids or previous or settling:
            flags = is_fresh * _FRESH + new_epoch * _NEW_EPOCH + has_ids * _IDS
            settling_time = milliseconds(settling) if settling else 0
            options = b"".join([part(b"%d" % each) for each in (previous, settling_time, flags)])
        if has_ids:
            parts += [part(b"" if each.id is None else each.id.encode()) for each in messages]
        return b"*%d\r\n%b%b$8\r\n%b\r\n%b%b" % (
            _COMMON_PARTS + 4 + len(parts),
            _APPEND_START,
            self._common.get(log) or self._common_parts(log),
            origin,
            options,
            parts[0] if len(parts) == 1 else b"".join(parts),
        )

    def read(self, log: RoomLog, direction: bytes, offset: int, limit: int, *, is_fresh: bool = False) -> bytes:
        """Encode a read.

        Args:
            log: the log.
            direction: ``+`` for the messages behind the offset, ``-`` for those before it.
            offset: where to begin.
            limit: number of messages at most.
            is_fresh: whether :attr:`run` was asked for after the last answer: an epoch of another run may end then.
        """
        last = (b"%d" % is_fresh, direction, b"%d" % offset, b"%d" % limit, b"%d" % MAX_READ)
        return b"*%d\r\n%b%b%b" % (
            _COMMON_PARTS + len(last),
            _READ_START,
            self._common.get(log) or self._common_parts(log),
            b"".join(map(part, last)),
        )

    def last_positions(self, logs: Sequence[RoomLog]) -> bytes:
        """Encode the question for the last positions of several logs."""
        keys = [self.keys(log)[0] for log in logs]
        lives = [b"%d" % log_life(milliseconds(log.ttl)) for log in logs]
        return command(b"EVALSHA", LAST_POSITIONS.name, b"%d" % len(keys), *keys, self.run, *lives)

    def announce(self, namespaces: Mapping[str, tuple[int, float]], holders: Sequence[str]) -> bytes:
        """Encode the note for emitters: which namespaces keep history, and which Redis hold the logs."""
        noted = announcements.fields(namespaces, holders)
        life = b"%d" % announcements.LIFE
        return command(b"EVALSHA", ANNOUNCE.name, b"1", announcements.key(self._prefix), life, *noted)

    def _common_parts(self, log: RoomLog) -> bytes:
        """Return the parts that all commands for a log have, in the order of ``lua/common.lua``; the run may change."""
        if len(self._common) >= _MAX_REMEMBERED:
            self._common.clear()
        size, ttl = b"%d" % log.size, b"%d" % milliseconds(log.ttl)
        each = (b"3", *self.keys(log), log.channel, size, ttl, self.run, self._seed)
        parts = self._common[log] = b"".join(map(part, each))
        return parts

    def keys(self, log: RoomLog) -> tuple[bytes, bytes, bytes]:
        """Return the keys of a log's state and of its messages, and the beginning of those of ids.

        The room is in braces, as a hash tag of Redis Cluster. A brace in its name is written otherwise, so that no room
        has the key of another room's id.
        """
        namespace, id = log.room.namespace.encode(), log.room.id.encode()
        room = b"%d:%b%b" % (len(namespace), namespace, id)
        room = room.replace(b"%", b"%25").replace(b"}", b"%7D")
        return (
            b"%bm{%b}" % (self._prefix, room),
            b"%bl{%b}" % (self._prefix, room),
            b"%bx{%b}" % (self._prefix, room),
        )


def part(value: bytes) -> bytes:
    """Encode a part of a command."""
    return b"$%d\r\n%b\r\n" % (len(value), value)
