"""The one place where a message for many becomes frames: encoded once, pushed to each."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from crosswire.core.formats import JSON_TEXT, Format
from crosswire.rooms.member import Member


class Outgoing:
    """A message on its way to many: one frame for each format among the recipients.

    Raises:
        InvalidPayload: the data can't be encoded; found out here, before anything is sent.
    """

    __slots__ = ("_frames", "_message")

    def __init__(self, message: msgspec.Struct) -> None:
        self._message = message
        self._frames: dict[Format, bytes] = {JSON_TEXT: JSON_TEXT.frame(message)}

    def push_to(self, members: Iterable[Member], exclude: Collection[str] = ()) -> None:
        """Push the message to each member whose user is not excluded.

        ``members`` is iterated as it is, without a copy: pushing runs no code of the application.
        """
        if exclude:
            excluded = frozenset(exclude)
            members = (member for member in members if member.user not in excluded)
        frames = self._frames
        for member in members:
            frame = frames.get(member.format)
            if frame is None:
                frame = frames[member.format] = member.format.frame(self._message)
            member.push(frame)
