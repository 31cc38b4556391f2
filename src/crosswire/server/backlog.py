"""Messages of a connection that wait to be handled."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

MESSAGE_OVERHEAD = 256
"""Bytes of memory that a message takes besides its own, so that empty ones are not free."""


class WaitingMessage(NamedTuple):
    """A message that waits.

    Attributes:
        size: bytes of memory that it takes.
        needs: bytes of memory that it will take while handlers are at work on it, as far as that is known.
        handle: handles it, called with ``arguments``.
        arguments: the message, and what ``handle`` needs besides.
    """

    size: int
    needs: int
    handle: Callable[..., object]
    arguments: tuple[Any, ...]


class Backlog:
    """Queue of the messages that wait to be handled.

    Attributes:
        size: bytes of memory that they take.
    """

    __slots__ = ("_waiting", "size")

    def __init__(self) -> None:
        self._waiting: deque[WaitingMessage] = deque()
        self.size = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def needs(self) -> int:
        """Bytes of memory that the first message will take while handlers are at work on it, as far as known."""
        return self._waiting[0].needs if self._waiting else 0

    def add(self, size: int, handle: Callable[..., object], *arguments: Any) -> None:
        """Append a message of ``size`` bytes, which ``handle(*arguments)`` will handle."""
        size += MESSAGE_OVERHEAD
        self.size += size
        self._waiting.append(WaitingMessage(size, 0, handle, arguments))

    def put_back(self, size: int, needs: int, handle: Callable[..., object], *arguments: Any) -> None:
        """Put a message in front of all others: it needs more memory than there is now."""
        size += MESSAGE_OVERHEAD
        self.size += size
        self._waiting.appendleft(WaitingMessage(size, needs, handle, arguments))

    def handle_next(self) -> None:
        """Remove the first message and handle it."""
        message = self._waiting.popleft()
        self.size -= message.size
        message.handle(*message.arguments)

    def remove(self, is_done: Callable[[WaitingMessage], bool]) -> None:
        """Remove the messages for which ``is_done`` returns True."""
        self._waiting = deque(message for message in self._waiting if not is_done(message))
        self.size = sum(message.size for message in self._waiting)

    def clear(self) -> None:
        """Discard all messages, which will not be handled."""
        self._waiting.clear()
        self.size = 0
