"""Fan-out of messages to many members: encoded once, pushed to each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from itertools import islice
from typing import Any

from crosswire.core.formats import JSON_TEXT, AnyOutbox, EncodedMessage, Format
from crosswire.core.frames import SHORT_TEXT
from crosswire.core.skipped_messages import Droppable
from crosswire.core.targets import Excluded
from crosswire.rooms.held_messages import Frames, HeldMessages, Members, PushAll
from crosswire.rooms.recipient import Recipient
from crosswire.runtime.flusher import Flushable
from crosswire.runtime.log_records import get_logger

logger = get_logger("crosswire.server")

MAX_HELD_BYTES = 64 * 1024
"""Bytes of messages that are held back to be pushed together."""
SMALL_ROOM = 100
"""Number of members up to which a room is compared with others for which messages are held."""
MAX_SEARCHED = 8
"""Number of rooms with held messages that are searched for a member that is not in the last of them; with more of them,
all is pushed at once."""


def push_to_each(encoded: Any, outboxes: Iterable[AnyOutbox]) -> None:
    """Push frames, or messages, to one outbox after the other."""
    for outbox in outboxes:
        outbox.push(encoded)


class FanOut:
    """Fan-out of messages to members, each message encoded once for each format.

    Messages to the same members within a turn of the event loop are joined, so that every member is visited once for
    all of them. Small rooms that have no member in common do not disturb each other in this. To keep the order of
    messages, code that sends to a single member calls :meth:`flush_for` first, and code that changes the members of a
    room calls :meth:`flush`.

    Args:
        at_end_of_turn: calls ``flush`` of its argument at the end of the turn.
        push_all: pushes the same frames to the outboxes of many members.

    Attributes:
        formats: number of members that use each format.
        held_for: members for whom the last message is held; None if :meth:`flush` has nothing to do.
        sent: number of messages that were pushed, one for each member; who pushes to a single member counts it here.
        wants_msgpack: whether a member uses MessagePack.
    """

    __slots__ = (
        "_apart",
        "_at_end_of_turn",
        "_compared",
        "_held",
        "_is_exclusive",
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
        self._held: dict[int, HeldMessages] = {}  # by the identity of their members, no two of which have one in common
        self._is_exclusive = True  # whether all these members were exclusive, so that there was nothing to compare
        self._apart: set[AnyOutbox] = set()  # of the members that were compared with others
        self._compared = 0  # number of the mappings whose members these are
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
        if len(self.formats) == 1:
            text = message.json
            size = len(text)  # the next line is `wrap`, which would be one call more
            return {JSON_TEXT: SHORT_TEXT[size] + text if size < _SHORT else _wrap_text(message)}
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

    def hold(
        self, frames: Frames, members: Members, droppable: Droppable | None = None, is_exclusive: bool = False
    ) -> None:
        """Push a message to all members of a room, or of the server, at the end of the turn.

        Args:
            frames: the message, in each format.
            members: the room's own mapping, not a copy: messages to the same mapping are joined.
            droppable: its policy, if it need not be sent to members that are behind.
            is_exclusive: whether no member is in another mapping that is exclusive.
        """
        held = self._held.get(id(members))
        if held is None:
            held = self._begin(members, is_exclusive)
        self.held_for = members
        if droppable is not None:
            held.droppable = held.droppable or {}
            held.droppable[len(held.frames)] = droppable
        held.frames.append(frames)
        for frame in frames.values():  # a format without frames hardly counts, but JSON is always there
            self._size += len(frame)
        if self._size > MAX_HELD_BYTES:
            self.flush()

    def hold_for_others(
        self, frames: Frames, members: Members, excluded: Collection[Recipient], is_exclusive: bool
    ) -> None:
        """Do the same as :meth:`hold`, but leave some of the members out, which must be few."""
        held = self._held.get(id(members))
        if held is None:
            held = self._begin(members, is_exclusive)
        self.held_for = members
        held.leave_out(excluded)
        self.hold(frames, members, None, is_exclusive)

    def flush(self) -> None:
        """Push all messages that are held."""
        if self.held_for is None:
            return
        held, self._held = self._held, {}
        self.held_for, self._size, self._is_exclusive = None, 0, True
        if self._apart:  # of a comparison that may have come to no end
            self._apart, self._compared = set(), 0
        push_all = self._push_all
        for messages in held.values():
            self.sent += len(messages.frames) * len(messages.members) - messages.left_out
            if messages.ahead is not None:
                _push_rest_ahead(messages, messages.ahead)
            push, encoded, recipients = messages.pushing(push_all)
            while True:
                try:
                    push(encoded, recipients)
                except Exception:
                    logger.exception("pushing to a connection failed")  # and on to the next
                else:
                    break

    def flush_for(self, member: Recipient) -> None:
        """Push what is held for one member, before something else is sent to it; others still get theirs later.

        So an answer does not spoil the write of a fan-out of the same turn straight to the sockets.
        """
        last = self.held_for
        if last is not None and member in last:  # as the sender to its own room, that is answered
            self._held[id(last)].push_ahead(member)
            return
        if len(self._held) > MAX_SEARCHED:
            self.flush()
            return
        for held in self._held.values():
            if member in held.members:
                held.push_ahead(member)
                return

    def _begin(self, members: Members, is_exclusive: bool) -> HeldMessages:
        """Begin to hold messages for members, and flush those for others unless they can wait beside them."""
        if self.held_for is not None and not ((is_exclusive and self._is_exclusive) or self._are_apart(members)):
            self.flush()
        if self.held_for is None:
            self._at_end_of_turn(self)  # before anything is changed: it may raise
        self._is_exclusive = self._is_exclusive and is_exclusive
        held = self._held[id(members)] = HeldMessages(members, [])
        return held

    def _are_apart(self, members: Members) -> bool:
        """Return whether none of some members is among those for whom messages are held.

        Then nobody sees which room's messages are pushed first, and they need not be queued before the turn ends. To
        find out costs more than it saves if there are many members.
        """
        if len(members) > SMALL_ROOM:
            return False
        for held in islice(self._held.values(), self._compared, None):
            if len(held.members) > SMALL_ROOM:
                return False
            self._apart.update(held.members.values())
        self._compared = len(self._held)
        return self._apart.isdisjoint(members.values())


def _push_rest_ahead(messages: HeldMessages, ahead: Iterable[Recipient]) -> None:
    """Push what came later to the members that could not wait for the end of the turn."""
    for member in ahead:
        try:
            messages.push_ahead(member)
        except Exception:
            logger.exception("pushing to a connection failed")


_wrap_text = JSON_TEXT.wrap
_SHORT = len(SHORT_TEXT)
