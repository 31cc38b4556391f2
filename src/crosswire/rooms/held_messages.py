"""Messages to the members of one room that wait for the end of the turn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
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
PushAll = Callable[[Any, Iterator[Any]], None]
"""Function that pushes the same frames, or messages, to many outboxes, or to the members that they are of."""


class HeldMessages(msgspec.Struct, eq=False):
    """Messages to the same members, which are joined, so that every member is visited once for all of them.

    Attributes:
        members: the room's own mapping, not a copy: it must not change while messages are held.
        frames: the messages, each in every format.
        ahead: number of the messages that members are done with, which could not wait or were left out, by member.
        droppable: policies of those messages that need not be sent to members that are behind, by their position.
        left_out: number of messages that members were left out of, counted for each member.
    """

    # A Struct, which is made without a call of a Python function: there is one for each room and turn.
    members: Members
    frames: list[Frames]
    ahead: dict[Recipient, int] | None = None
    droppable: dict[int, Droppable] | None = None
    left_out: int = 0

    def push_ahead(self, member: Recipient) -> None:
        """Push to one member the messages that it has not got yet, before the others get them."""
        ahead = self.ahead = self.ahead or {}
        begin, ahead[member] = ahead.get(member, 0), len(self.frames)
        _push_each(self.frames, self.droppable or {}, member, begin)

    def leave_out(self, members: Collection[Recipient]) -> None:
        """Leave some members out of the message that is held next: push to them what came before it."""
        for member in members:
            self.push_ahead(member)
        ahead = self.ahead = self.ahead or {}
        for member in members:
            ahead[member] += 1
        self.left_out += len(members)

    def pushing(self, push_all: PushAll) -> tuple[PushAll, Any, Iterator[Any]]:
        """Return the function that pushes the messages to the members, and what it is called with.

        Called again after it has failed, it goes on with the members left. Those who got some ahead, or were left out,
        are not among them. Members are copied only if there are such: pushing runs no code of the application that
        could change them.
        """
        frames = self.frames[0] if len(self.frames) == 1 else _joined(self.frames)
        members, ahead = self.members, self.ahead
        if self.droppable is None and len(frames) == 1:
            (frame,) = frames.values()
            outboxes: Iterable[AnyOutbox] = members.values()
            if ahead:  # the outboxes are looked at next anyhow, the members are not
                others = {member.outbox for member in ahead}
                outboxes = [outbox for outbox in outboxes if outbox not in others]
            return push_all, frame, iter(outboxes)
        if ahead:
            members = {member: outbox for member, outbox in members.items() if member not in ahead}
        if self.droppable is not None:
            return partial(_push_or_offer, self.frames, self.droppable), frames, iter(members)
        return _push_in_formats, frames, iter(members.items())


def _push_or_offer(
    held: list[Frames], droppable: dict[int, Droppable], joined: Frames, members: Iterable[Recipient]
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
