"""Notes in each Redis for emitters, which hear no beats of nodes: which namespaces keep history, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from crosswire.cluster.log.lifetimes import milliseconds
from crosswire.cluster.redis.commands import command

LIFE = 100_000
"""Milliseconds for which such a note counts; nodes write it anew three times within."""
ASK_TIME = command(b"TIME")
"""The question for the clock by which notes end."""
_HOLDERS = b""
"""The field with the ids of the Redis that hold logs; no namespace has this name."""


class KeptRooms(NamedTuple):
    """Limits on the messages that each room of a namespace keeps: their number, and their life in seconds."""

    size: int
    ttl: float


class Announcement(NamedTuple):
    """The notes of one Redis.

    Attributes:
        namespaces: those that keep history.
        holders: the ids of the Redis that hold logs; empty if it does not say.
    """

    namespaces: Mapping[str, KeptRooms]
    holders: tuple[str, ...]


def key(prefix: bytes) -> bytes:
    """Return the key of the notes."""
    return prefix + b"h"


def fields(namespaces: Mapping[str, tuple[int, float]], holders: Sequence[str]) -> list[bytes]:
    """Return the names and values that a node notes."""
    noted = [_HOLDERS, "\n".join(holders).encode()]
    for namespace, (size, ttl) in namespaces.items():
        noted += [namespace.encode(), b"%d %d" % (size, milliseconds(ttl))]
    return noted


def ask(prefix: bytes) -> bytes:
    """Return the question for all notes of a Redis."""
    return command(b"HGETALL", key(prefix))


def read(notes: Sequence[bytes], time: Sequence[Any]) -> Announcement:
    """Read the answers to :func:`ask` and :data:`ASK_TIME`. Notes that have ended, or can't be read, are left out."""
    now = int(time[0]) * 1000
    namespaces, holders = dict[str, KeptRooms](), tuple[str, ...]()
    for name, value in zip(notes[::2], notes[1::2], strict=True):
        until, _, noted = value.partition(b" ")
        with suppress(ValueError):  # of a version to come
            if int(until) < now:
                continue
            if name == _HOLDERS:
                holders = tuple(noted.decode().split("\n"))
            else:
                size, ttl = map(int, noted.split())
                namespaces[name.decode()] = KeptRooms(size, ttl / 1000)
    return Announcement(namespaces, holders)
