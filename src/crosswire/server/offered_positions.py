"""The positions that a client offered in its URL when it came back."""

from __future__ import annotations

import re

from crosswire.core.messages import MAX_OFFERED
from crosswire.core.positions import EPOCH_LENGTH, LogPosition, parse_position
from crosswire.core.targets import ToRoom

_COMMA = re.compile("%2[cC]")
_END = ","
_SHORTEST = EPOCH_LENGTH + len(".0,")
"""Characters of the shortest position, with what ends it."""


class OfferedPositions:
    """Positions that a client offered, each good for one join.

    They stay the text that came, in which an epoch is looked for when a room is joined: whatever a client sends takes
    no more than that, and costs nothing until then.

    Args:
        value: of the parameter, as it stands in the URL; what is no position in it is never found. Of one that is too
            long, the positions at the beginning count.
    """

    __slots__ = ("_answered", "_text")

    def __init__(self, value: str) -> None:
        self._text = ""
        self._answered: set[ToRoom] | None = None
        if value:
            text = _COMMA.sub(",", value)
            end = len(text) if len(text) <= MAX_OFFERED else text.rfind(_END, 0, MAX_OFFERED + 1)
            self._text = f",{text[:end]}," if end > 0 else ""

    @property
    def any_left(self) -> bool:
        """Whether there may be positions that no join has used."""
        return len(self._text) > _SHORTEST

    def take(self, room: ToRoom, epoch: str) -> LogPosition | None:
        """Return the position in an epoch, which belongs to the log of this room; None if none is offered.

        It is good for one join: once the client is told of the room, it knows a position that is newer.
        """
        found = None
        while (start := self._text.find(f",{epoch}.")) >= 0:
            end = self._text.index(_END, start + 1)
            found = found or parse_position(self._text[start + 1 : end])
            self._text = self._text[:start] + self._text[end:]
        return None if self._answered is not None and room in self._answered else found

    def spoil(self, room: ToRoom) -> None:
        """Let the position in this room, whichever it is, count no more: a client was told that it has none there.

        Used where the epoch of the room's log can't be known.
        """
        if not self.any_left:
            return
        if self._answered is None:
            self._answered = set()
        self._answered.add(room)
        if len(self._answered) > len(self._text) // _SHORTEST:  # more rooms than positions
            self._text, self._answered = "", None
