"""Messages of a connection that wait to be handled."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

MESSAGE_OVERHEAD = 256
"""Bytes of memory that a message takes besides its own, so that empty ones are not free."""


class Backlog:
    """Queue of the messages that wait to be handled.

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
        """Append a message of ``size`` bytes, which ``handle(*arguments)`` will handle."""
        self.size += size + MESSAGE_OVERHEAD
        self._waiting.append((size, handle, arguments))

    def handle_next(self) -> None:
        """Remove the first message and handle it."""
        size, handle, arguments = self._waiting.popleft()
        self.size -= size + MESSAGE_OVERHEAD
        handle(*arguments)

    def clear(self) -> None:
        """Discard all messages, which will not be handled."""
        self._waiting.clear()
        self.size = 0
