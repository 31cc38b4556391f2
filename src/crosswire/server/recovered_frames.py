"""The frames of messages that clients get from the history of a room, shared by all who come back to one position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from crosswire.core.formats import Encoded, Format
from crosswire.core.targets import Excluded
from crosswire.core.timeline import Kept
from crosswire.transport.message_outbox import held_size

SHARED_SIZE = 4 * 1024 * 1024
"""Bytes of frames that are kept to be shared. The oldest are forgotten first."""


class RecoveredSlice(NamedTuple):
    """Messages that follow each other in a room, as clients with one format get them.

    Attributes:
        frames: all messages, joined; None if there is none.
        size: bytes that they take in an outbox, roughly.
        number: of the messages.
        users: that are excluded from one of them.
        sockets: that are excluded from one of them.
    """

    frames: Encoded | None
    size: int
    number: int
    users: frozenset[str] = frozenset()
    sockets: frozenset[str] = frozenset()


class RecoveredFrames:
    """Frames of slices of rooms' histories, of which the last ones are kept.

    Args:
        replaces: whether each user has one connection at a time: then it is excluded where a former one was.
        limit: bytes that are kept.

    Attributes:
        size: bytes that are kept now.
    """

    __slots__ = ("_kept", "_limit", "_replaces", "size")

    def __init__(self, *, replaces: bool, limit: int = SHARED_SIZE) -> None:
        self._replaces = replaces
        self._kept: dict[tuple[str | None, int, int, Format], RecoveredSlice] = {}
        self._limit = limit
        self.size = 0

    def slice(
        self, epoch: str | None, messages: Sequence[Kept], form: Format, user: str, socket: str
    ) -> RecoveredSlice:
        """Return messages without those that exclude a user or socket, in a format.

        Args:
            epoch: of the room's log, to which the offsets belong; None if it is not known.
            messages: that follow each other there.
            form: of the connection.
            user: of the connection.
            socket: id of the connection.
        """
        known = epoch is not None and messages
        shared = self._shared(epoch, messages, form) if known else self._slice_of(messages, form)
        if user not in shared.users and socket not in shared.sockets:
            return shared
        return self._slice_of([each for each in messages if not self._excludes(each, user, socket)], form)

    def _shared(self, epoch: str | None, messages: Sequence[Kept], form: Format) -> RecoveredSlice:
        key = epoch, messages[0].offset, messages[-1].offset, form
        shared = self._kept.pop(key, None)
        if shared is None:
            shared = self._slice_of(messages, form)
            self.size += shared.size
        self._kept[key] = shared  # behind the others: it was used last
        while self.size > self._limit:
            self.size -= self._kept.pop(next(iter(self._kept))).size
        return shared

    def _excludes(self, kept: Kept, user: str, socket: str) -> bool:
        excluded = kept.excluded
        return excluded is not None and (user in self._users(excluded) or socket in excluded.sockets)

    def _users(self, excluded: Excluded) -> tuple[str, ...]:
        return (*excluded.users, *excluded.owners) if self._replaces else excluded.users

    def _slice_of(self, messages: Sequence[Kept], form: Format) -> RecoveredSlice:
        if not messages:
            return RecoveredSlice(None, 0, 0)
        excluded = [each.excluded for each in messages if each.excluded is not None]
        frames = form.join([form.wrap(each.message) for each in messages])
        return RecoveredSlice(
            frames,
            len(frames) if isinstance(frames, bytes) else sum(map(held_size, frames)),
            len(messages),
            frozenset([user for each in excluded for user in self._users(each)]),
            frozenset([socket for each in excluded for socket in each.sockets]),
        )
