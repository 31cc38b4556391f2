"""Ids of calls, and the calls that wait for an answer. Timeouts are left to the users of this module."""

from __future__ import annotations

from typing import Generic, TypeVar

WaiterT = TypeVar("WaiterT")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class CallIds:
    """Source of ids for calls: short, and never the same twice."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def next(self) -> str:
        """Return an id that was not used before."""
        self._count += 1
        return base36(self._count)


class PendingCalls(Generic[WaiterT]):
    """Waiters for answers, by id of the call. There is none for a late, repeated or forged answer."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: dict[str, WaiterT] = {}

    def __len__(self) -> int:
        return len(self._waiters)

    def add(self, call_id: str, waiter: WaiterT) -> None:
        """Add a waiter for the answer to a call."""
        self._waiters[call_id] = waiter

    def take(self, call_id: str) -> WaiterT | None:
        """Remove and return the waiter for a call; None if there is none, as after the first answer."""
        return self._waiters.pop(call_id, None)

    def take_all(self) -> list[WaiterT]:
        """Remove and return all waiters, as when the connection is gone."""
        waiters = list(self._waiters.values())
        self._waiters.clear()
        return waiters


def base36(number: int) -> str:
    """Return a number written with the digits 0-9a-z."""
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
        if not number:
            return digits
