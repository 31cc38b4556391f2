"""Calls that wait for their answer, by id. Knows no clock: its owner says when to give up."""

from __future__ import annotations

from typing import Generic, TypeVar

WaiterT = TypeVar("WaiterT")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class CallIds:
    """Ids for calls: short, and never used twice by one owner."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def next(self) -> str:
        """Return a new id."""
        self._count += 1
        return base36(self._count)


class PendingCalls(Generic[WaiterT]):
    """What waits for an answer, by the call's id. A late, repeated or invented answer finds nothing."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: dict[str, WaiterT] = {}

    def __len__(self) -> int:
        return len(self._waiters)

    def add(self, call_id: str, waiter: WaiterT) -> None:
        """Remember that ``waiter`` waits for the answer to ``call_id``."""
        self._waiters[call_id] = waiter

    def take(self, call_id: str) -> WaiterT | None:
        """Return and forget who waits for ``call_id``: an answer counts once."""
        return self._waiters.pop(call_id, None)

    def get(self, call_id: str) -> WaiterT | None:
        """Return who waits for ``call_id``, who goes on to wait."""
        return self._waiters.get(call_id)

    def items(self) -> list[tuple[str, WaiterT]]:
        """All, with their ids."""
        return list(self._waiters.items())

    def take_all(self) -> list[WaiterT]:
        """Return and forget all: the connection is gone."""
        waiters = list(self._waiters.values())
        self._waiters.clear()
        return waiters


def base36(number: int) -> str:
    """Write a number in 0-9a-z."""
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
        if not number:
            return digits
