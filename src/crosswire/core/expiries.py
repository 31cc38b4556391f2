"""Items by the time at which they are due."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

SLOT = 0.1
"""Seconds of real time that share a slot; an item is due up to one slot late, and never early."""

_NEVER = 1e12
"""Seconds of real time, tens of thousands of years from now: what is due later is never due."""

ItemT = TypeVar("ItemT", bound=Hashable)


class ExpirySlots(Generic[ItemT]):
    """Items that are each due at a time of a clock that may jump. Each is in one slot; adding one touches no other."""

    __slots__ = ("_first", "_number_of", "_slots")

    def __init__(self) -> None:
        self._slots: dict[int, dict[ItemT, None]] = {}
        self._number_of: dict[ItemT, int] = {}
        self._first = 0  # no slot has a smaller number

    def __len__(self) -> int:
        return len(self._number_of)

    def add(self, item: ItemT, at: float) -> None:
        """Let an item be due at a time, in seconds, instead of when it was due before."""
        self.discard(item)
        number = int(min(at, _NEVER) / SLOT)
        self._first = min(self._first, number) if self._slots else number
        self._slots.setdefault(number, {})[item] = None
        self._number_of[item] = number

    def discard(self, item: ItemT) -> None:
        """Remove an item, if it is there."""
        number = self._number_of.pop(item, None)
        if number is None:
            return
        slot = self._slots[number]
        del slot[item]
        if not slot:
            del self._slots[number]

    def take_due(self, now: float) -> list[ItemT]:
        """Remove the items that are due, and return them."""
        present = int(now / SLOT)
        gap = present - self._first
        # After a jump of the clock, there are fewer slots than numbers between.
        numbers = range(self._first, present) if gap <= len(self._slots) else sorted(self._slots)
        due = [item for number in numbers if number < present for item in self._slots.pop(number, ())]
        self._first = max(self._first, present)
        for item in due:
            del self._number_of[item]
        return due
