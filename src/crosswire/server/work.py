"""What is at work for one connection: its handlers, and the hooks that its messages and its life trigger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any


class Work:
    """The asynchronous handlers and hooks of one connection, from their start to their end.

    Args:
        context: the connection's context variables, as ``authenticate`` and ``on_connect`` set them.

    Attributes:
        running: how many are at work; those count too that have been started and have not begun.
        copy_context: gives a copy of the context, for one event.
    """

    __slots__ = ("_context", "_next", "_waiting", "copy_context", "running")

    def __init__(self, context: Context) -> None:
        self._context = context
        self.copy_context = context.copy
        self.running = 0
        self._waiting: set[asyncio.Task[None]] | None = None
        self._next: Callable[[], None] | None = None

    def context(self) -> Context:
        """The context itself, which keeps what is set in it; nothing else may be running in it."""
        return self._context

    def ended(self) -> None:
        """One has ended; :attr:`running` was counted up when it was started."""
        self.running -= 1
        then = self._next
        if then is not None:
            self._next = None
            then()

    dropped = ended

    def when_one_ends(self, then: Callable[[], None]) -> None:
        """Call ``then``, once, when the next one has ended."""
        self._next = then

    def follow(self, task: asyncio.Task[None]) -> None:
        """Count a task, one of a hook, as at work until it ends."""
        if not task.done():
            self.running += 1
            self.waits(task)
            task.add_done_callback(self._done)

    def waits(self, task: asyncio.Task[None]) -> None:
        """One of them waits for something, and has this task for itself."""
        if self._waiting is None:
            self._waiting = set()
        self._waiting.add(task)

    def released(self, task: asyncio.Task[None]) -> None:
        """That one has ended, or does not have the task any more."""
        assert self._waiting is not None, "it waited first"
        self._waiting.discard(task)

    def has(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether a task is one of them."""
        return self._waiting is not None and task in self._waiting

    def cancel(self, besides: asyncio.Task[Any] | None) -> None:
        """Cancel those that wait for something, but for that one."""
        for task in list(self._waiting or ()):
            if task is not besides:
                task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        self.released(task)
        self.ended()
