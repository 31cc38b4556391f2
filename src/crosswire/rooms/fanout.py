"""Fan-out of messages to many members: encoded once, pushed to each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any

from crosswire.core.formats import JSON_TEXT, AnyOutbox, EncodedMessage, Format
from crosswire.core.skipped_messages import Droppable
from crosswire.core.targets import Excluded
from crosswire.rooms.recipient import Recipient
from crosswire.runtime.flusher import Flushable
from crosswire.runtime.log_records import get_logger

logger = get_logger("crosswire.server")

Frames = dict[Format, Any]
"""Frames of a message, by format."""
Members = Mapping[Any, AnyOutbox]
"""Recipients with their outboxes, which most of a fan-out uses alone."""
PushAll = Callable[[Any, Iterable[AnyOutbox]], None]
"""Function that pushes the same frames, or messages, to many outboxes."""
MAX_HELD_BYTES = 64 * 1024
"""Bytes of messages that are held back to be pushed together."""


def push_to_each(encoded: Any, outboxes: Iterable[AnyOutbox]) -> None:
    """Push frames, or messages, to one outbox after the other."""
    for outbox in outboxes:
        outbox.push(encoded)


class FanOut:
    """Fan-out of messages to members, each message encoded once for each format.

    Successive messages to the same members within a turn of the event loop are joined, so that every member is visited
    once for all of them. To keep the order of messages, code that sends to a single member, or changes the members of a
    room, calls :meth:`flush` first.

    Args:
        at_end_of_turn: calls ``flush`` of its argument at the end of the turn.
        push_all: pushes the same frames to the outboxes of many members.

    Attributes:
        formats: number of members that use each format.
        held_for: members for whom messages are held; None if :meth:`flush` has nothing to do.
        sent: number of messages that were pushed, one for each member; who pushes to a single member counts it here.
        wants_msgpack: whether a member uses MessagePack.
    """

    __slots__ = (
        "_at_end_of_turn",
        "_droppable",
        "_held",
        "_push_all",
        "_size",
        "formats",
        "held_for",
        "sent",
        "wants_msgpack",
    )

    def __init__(self, at_end_of_turn: Callable[[Flushable], None], push_all: PushAll = push_to_each) -> None:
        self._at_end_of_turn = at_end_of_turn
        self._push_all = push_all
        self.held_for: Members | None = None
        self._held: list[Frames] = []
        self._droppable: dict[int, Droppable] = {}  # those that are held and may be dropped, by their position
        self._size = 0
        self.formats: dict[Format, int] = {JSON_TEXT: 1}  # always in use: data without a JSON form is always refused
        self.sent = 0
        self.wants_msgpack = False

    def add_format(self, form: Format) -> None:
        """Count a member that uses a format."""
        self.formats[form] = self.formats.get(form, 0) + 1
        self.wants_msgpack = self.wants_msgpack or form.codec.binary

    def remove_format(self, form: Format) -> None:
        """Stop counting a member that used a format and is gone."""
        self.formats[form] -= 1
        if not self.formats[form]:
            del self.formats[form]
            self.wants_msgpack = any(each.codec.binary for each in self.formats)

    def frames(self, message: EncodedMessage) -> Frames:
        """Return an encoded message as a frame of each format in use."""
        return {form: form.wrap(message) for form in self.formats}

    def push(
        self,
        frames: Frames,
        members: Collection[Recipient],
        exclude: Excluded | None = None,
        droppable: Droppable | None = None,
    ) -> int:
        """Push a message to members at once, except for excluded users and sockets; return the number of the others."""
        self.flush()
        if exclude is not None:
            users, sockets = frozenset(exclude.users), exclude.sockets
            members = [member for member in members if member.user not in users and member.id not in sockets]
        self.sent += len(members)
        for member in members:
            if droppable is None:
                member.outbox.push(frames[member.format])
            else:
                member.offer(frames[member.format], droppable)
        return len(members)

    def hold(self, frames: Frames, members: Members, droppable: Droppable | None = None) -> None:
        """Push a message to all members of a room, or of the server, at the end of the turn.

        Args:
            frames: the message, in each format.
            members: the room's own mapping, not a copy: messages to the same mapping are joined.
            droppable: its policy, if it need not be sent to members that are behind.
        """
        if members is not self.held_for:
            if self.held_for is not None:
                self.flush()
            self._at_end_of_turn(self)  # before anything is changed: it may raise
            self.held_for = members
        if droppable is not None:
            self._droppable[len(self._held)] = droppable
        self._held.append(frames)
        self._size += sum(map(len, frames.values()))  # a format without frames hardly counts, but JSON is always there
        if self._size > MAX_HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Push all messages that are held."""
        members = self.held_for
        if members is None:
            return
        self.held_for = None
        held, self._held, self._size = self._held, [], 0
        self.sent += len(held) * len(members)
        droppable = self._droppable
        if droppable:
            self._droppable = {}
        frames = held[0] if len(held) == 1 else _joined(held)
        push = self._pushing(frames, held, droppable, members)
        while True:
            try:
                push()
            except Exception:
                logger.exception("pushing to a connection failed")  # and on to the next
            else:
                return

    def _pushing(
        self, frames: Frames, held: list[Frames], droppable: dict[int, Droppable], members: Members
    ) -> Callable[[], None]:
        """Return what pushes joined frames to members, and called again after it has failed, to the members behind.

        Members are not copied: pushing runs no code of the application that could change them.
        """
        if droppable:
            return partial(_push_or_offer, frames, held, droppable, iter(members))
        if len(frames) > 1:
            return partial(_push_in_formats, frames, iter(members.items()))
        (frame,) = frames.values()
        return partial(self._push_all, frame, iter(members.values()))


def _push_or_offer(
    joined: Frames, held: list[Frames], droppable: dict[int, Droppable], members: Iterable[Recipient]
) -> None:
    """Push joined frames to members, and to those that are behind each by itself, as some need not be sent to them."""
    for member in members:
        form = member.format
        if not member.behind:
            member.outbox.push(joined[form])
            continue
        for position, frames in enumerate(held):
            policy = droppable.get(position)
            if policy is None:
                member.outbox.push(frames[form])
            else:
                member.offer(frames[form], policy)


def _joined(held: list[Frames]) -> Frames:
    return {form: form.join([frames[form] for frames in held]) for form in held[0]}


def _push_in_formats(frames: Frames, members: Iterable[tuple[Recipient, AnyOutbox]]) -> None:
    for member, outbox in members:
        outbox.push(frames[member.format])
