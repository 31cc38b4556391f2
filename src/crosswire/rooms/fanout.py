"""The one place where a message for many becomes frames: encoded once, pushed to each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable

import msgspec

from crosswire.core.audience import Excluded
from crosswire.core.formats import JSON_TEXT, Format, Payloads, encode
from crosswire.rooms.recipient import Recipient
from crosswire.runtime.flusher import Flushable

logger = logging.getLogger("crosswire.server")

Frames = dict[Format, bytes]
_BATCH = 64 * 1024
"""Bytes of messages that are held back at most, to be pushed together."""


class FanOut:
    """Pushes messages to many members, each message encoded once for each format.

    Messages to the same members that follow each other within a turn of the event loop are joined first, so that
    every member is visited once for all of them. Nobody can tell, as long as nothing else happens to the members
    meanwhile: whoever sends to one of them directly, or changes who is in a room, calls :meth:`flush` before.

    Args:
        at_end_of_turn: calls ``flush`` of what it is given when the turn ends.

    Attributes:
        formats: how many members use each format.
        wants_msgpack: whether a member uses MessagePack.
    """

    __slots__ = ("_at_end_of_turn", "_held", "_members", "_size", "formats", "wants_msgpack")

    def __init__(self, at_end_of_turn: Callable[[Flushable], None]) -> None:
        self._at_end_of_turn = at_end_of_turn
        self._members: Collection[Recipient] | None = None
        self._held: list[Frames] = []
        self._size = 0
        self.formats: dict[Format, int] = {JSON_TEXT: 1}  # always there: data without a JSON form is refused at once
        self.wants_msgpack = False

    def use(self, form: Format) -> None:
        """Note that a member uses this format."""
        self.formats[form] = self.formats.get(form, 0) + 1
        self.wants_msgpack = self.wants_msgpack or form.codec.binary

    def disuse(self, form: Format) -> None:
        """Note that a member that used this format is gone."""
        self.formats[form] -= 1
        if not self.formats[form]:
            del self.formats[form]
            self.wants_msgpack = any(each.codec.binary for each in self.formats)

    def encode(self, message: msgspec.Struct) -> Frames:
        """Encode a message for every member there is.

        Raises:
            InvalidPayload: the data can't be encoded; so nobody gets it.
        """
        return self.frames(encode(message, msgpack=self.wants_msgpack))

    def frames(self, payloads: Payloads) -> Frames:
        """Put an encoded message into a frame of each format in use."""
        return {form: form.wrap(payloads) for form in self.formats}

    def push(self, frames: Frames, members: Iterable[Recipient], exclude: Excluded | None = None) -> None:
        """Push a message to each of some members, but for those who are excluded, themselves or with their user."""
        self.flush()
        if exclude is not None:
            users, sockets = frozenset(exclude.users), exclude.sockets
            members = (member for member in members if member.user not in users and member.id not in sockets)
        _push(frames, members)

    def hold(self, frames: Frames, members: Collection[Recipient]) -> None:
        """Push a message to all members of a room, or of the server, when the turn ends.

        Args:
            frames: of the message.
            members: the room's own collection: it is what is compared to tell whether the next message goes to the
                same, and it is iterated as it is.
        """
        if members is not self._members:
            self.flush()
            self._at_end_of_turn(self)  # before anything is noted: it may raise
            self._members = members
        self._held.append(frames)
        self._size += sum(map(len, frames.values()))
        if self._size > _BATCH:
            self.flush()

    def flush(self) -> None:
        """Push what is held."""
        members = self._members
        if members is None:
            return
        self._members = None
        held, self._held, self._size = self._held, [], 0
        pending = iter(members)
        frames = held[0] if len(held) == 1 else _joined(held)
        while True:
            try:
                _push(frames, pending)
            except Exception:
                logger.exception("pushing to a connection failed")  # and on to the next
            else:
                return


def _joined(held: list[Frames]) -> Frames:
    return {form: b"".join([frames[form] for frames in held]) for form in held[0]}


def _push(frames: Frames, members: Iterable[Recipient]) -> None:
    """Push without a copy of the members: pushing runs no code of the application that could change them."""
    if len(frames) == 1:
        (frame,) = frames.values()
        for member in members:
            member.push(frame)
    else:
        for member in members:
            member.push(frames[member.format])
