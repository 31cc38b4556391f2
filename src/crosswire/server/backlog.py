"""What arrives on a connection before it is let in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

_OVERHEAD = 256  # bytes that a message takes in memory besides its own, so that empty ones are not free


class Backlog:
    """Messages that wait to be handled, in order.

    Attributes:
        size: bytes of memory that they take.
    """

    __slots__ = ("_waiting", "size")

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Callable[..., None], tuple[Any, ...]]] = deque()
        self.size = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, size: int, handle: Callable[..., None], *arguments: Any) -> None:
        """Keep a message of ``size`` bytes, until ``handle(*arguments)`` handles it."""
        self.size += size + _OVERHEAD
        self._waiting.append((size, handle, arguments))

    def handle_next(self) -> None:
        """Handle the first that waits."""
        size, handle, arguments = self._waiting.popleft()
        self.size -= size + _OVERHEAD
        handle(*arguments)

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()
        self.size = 0
