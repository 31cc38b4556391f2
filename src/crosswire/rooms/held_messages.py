"""Messages to the members of one room that wait for the end of the turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from crosswire.core.formats import AnyOutbox, Format
from crosswire.core.skipped_messages import Droppable
from crosswire.rooms.recipient import Recipient

Frames = dict[Format, Any]
"""Frames of a message, by format."""
Members = Mapping[Any, AnyOutbox]
"""Recipients with their outboxes, which most of a fan-out uses alone."""
PushAll = Callable[[Any, Iterable[AnyOutbox]], None]
"""Function that pushes the same frames, or messages, to many outboxes."""


class HeldMessages(msgspec.Struct, eq=False):
    """Messages to the same members, which are joined, so that every member is visited once for all of them.

    Attributes:
        members: the room's own mapping, not a copy: it must not change while messages are held.
        frames: the messages, each in every format.
        ahead: number of the messages that were pushed already to members that could not wait, by member.
        droppable: policies of those messages that need not be sent to members that are behind, by their position.
    """

    # A Struct, which is made without a call of a Python function: there is one for each room and turn.
    members: Members
    frames: list[Frames]
    ahead: dict[Recipient, int] | None = None
    droppable: dict[int, Droppable] | None = None

    def push_ahead(self, member: Recipient) -> None:
        """Push to one member the messages that it has not got yet, before the others get them."""
        ahead = self.ahead = self.ahead or {}
        begin, ahead[member] = ahead.get(member, 0), len(self.frames)
        _push_each(self.frames, self.droppable or {}, member, begin)

    def pushing(self, push_all: PushAll) -> Callable[[], None]:
        """Return what pushes the messages to the members, and called again after it has failed, to the members left.

        Those who got some ahead are left out. Members are copied only if there are such: pushing runs no code of the
        application that could change them.
        """
        frames = self.frames[0] if len(self.frames) == 1 else _joined(self.frames)
        members, ahead = self.members, self.ahead
        if ahead:
            members = {member: outbox for member, outbox in members.items() if member not in ahead}
        if self.droppable is not None:
            return partial(_push_or_offer, frames, self.frames, self.droppable, iter(members))
        if len(frames) > 1:
            return partial(_push_in_formats, frames, iter(members.items()))
        (frame,) = frames.values()
        return partial(push_all, frame, iter(members.values()))


def _push_or_offer(
    joined: Frames, held: list[Frames], droppable: dict[int, Droppable], members: Iterable[Recipient]
) -> None:
    """Push joined frames to members, and to those that are behind each by itself, as some need not be sent to them."""
    for member in members:
        if member.behind:
            _push_each(held, droppable, member, 0)
        else:
            member.outbox.push(joined[member.format])


def _push_each(held: list[Frames], droppable: dict[int, Droppable], member: Recipient, begin: int) -> None:
    """Push frames to a member one by one, from a position on; offer those that need not be sent."""
    form = member.format
    for position in range(begin, len(held)):
        policy = droppable.get(position)
        if policy is None:
            member.outbox.push(held[position][form])
        else:
            member.offer(held[position][form], policy)


def _joined(held: list[Frames]) -> Frames:
    return {form: form.join([frames[form] for frames in held]) for form in held[0]}


def _push_in_formats(frames: Frames, members: Iterable[tuple[Recipient, AnyOutbox]]) -> None:
    for member, outbox in members:
        outbox.push(frames[member.format])
