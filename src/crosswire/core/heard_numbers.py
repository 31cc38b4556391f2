"""Numbers of the messages of a room that were heard, so that none is handed on twice where it comes on two ways."""

from __future__ import annotations

MAX_ORIGINS = 1_000
"""Senders of a room that are remembered; beyond it, the one that has been known for longest is forgotten."""
MAX_UNPLACED = 10_000
"""Messages without a position that are remembered for a room; beyond it, the oldest are forgotten."""


class HeardNumbers:
    """Numbers of the messages that a room's members have heard, by sender.

    Within one epoch the log itself drops the twins of a sender's messages, and keeps them in order. So only two kinds
    of numbers make a message one that was heard: those of earlier epochs, as a sender appends again what had no answer;
    and those of messages that came without a position, as the log could not be reached.
    """

    __slots__ = ("_before", "_placed", "_unplaced")

    def __init__(self) -> None:
        self._placed: dict[bytes, int] = {}  # of this epoch
        self._before: dict[bytes, int] = {}  # of earlier ones
        self._unplaced: dict[tuple[bytes, int], None] = {}

    def place(self, origin: bytes, number: int) -> bool:
        """Note a message of this epoch, the next in order, and return whether it is new."""
        placed = self._placed
        placed[origin] = number
        if len(placed) > MAX_ORIGINS:
            del placed[next(iter(placed))]
        if self._unplaced and (origin, number) in self._unplaced:
            del self._unplaced[origin, number]
            return False
        return not self._before or number > self._before.get(origin, 0)

    def add_unplaced(self, origin: bytes, number: int) -> bool:
        """Note a message that is not of this epoch, and return whether it is new."""
        if self._last(origin) >= number or (origin, number) in self._unplaced:
            return False
        self._unplaced[origin, number] = None
        if len(self._unplaced) > MAX_UNPLACED:
            del self._unplaced[next(iter(self._unplaced))]
        return True

    def begin_epoch(self) -> None:
        """Begin anew: what was heard up to now may be appended again."""
        for origin, number in self._placed.items():
            self._before[origin] = max(number, self._before.pop(origin, 0))
        while len(self._before) > MAX_ORIGINS:
            del self._before[next(iter(self._before))]
        self._placed.clear()

    def _last(self, origin: bytes) -> int:
        return max(self._placed.get(origin, 0), self._before.get(origin, 0))
