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
_ZERO = b"$1\r\n0\r\n"
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
        self._logs: dict[RoomLog, bytes] = {}
        self.use_run(b"")

    def use_run(self, run: bytes) -> None:
        """Name another run of the Redis in commands from now on."""
        self.run = run
        self._run_parts = part(run) + part(self._seed)

    def append(self, append: Append, *, is_fresh: bool = False) -> bytes:
        """Encode an append; ``is_fresh`` as for :meth:`read`."""
        log, origin, previous, messages, new_epoch, settling, _, _ = append
        flags, has_ids, parts = is_fresh * _FRESH + new_epoch * _NEW_EPOCH, False, list[bytes]()
        for each in messages:
            body = each.body
            parts.append(b"$%d\r\n%b%b\r\n" % (SENDER_SIZE + len(body), pack_sender(origin, each.number), body))
            has_ids = has_ids or each.id is not None
        if has_ids:
            flags += _IDS
            parts += [part(b"" if each.id is None else each.id.encode()) for each in messages]
        return b"*%d\r\n%b%b%b$8\r\n%b\r\n%b%b$1\r\n%d\r\n%b" % (
            _COMMON_PARTS + 4 + len(parts),
            _APPEND_START,
            self._logs.get(log) or self._parts_of(log),
            self._run_parts,
            origin,
            part(b"%d" % previous) if previous else _ZERO,
            part(b"%d" % milliseconds(settling)) if settling else _ZERO,
            flags,
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
        return b"*%d\r\n%b%b%b%b" % (
            _COMMON_PARTS + len(last),
            _READ_START,
            self._parts_of(log),
            self._run_parts,
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

    def _parts_of(self, log: RoomLog) -> bytes:
        """Return the parts of a command that a log always has: its keys, channel, size and time to live."""
        parts = self._logs.get(log)
        if parts is None:
            if len(self._logs) >= _MAX_REMEMBERED:
                self._logs.clear()
            each = (b"3", *self.keys(log), log.channel, b"%d" % log.size, b"%d" % milliseconds(log.ttl))
            parts = self._logs[log] = b"".join(map(part, each))
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
