"""Counts and cancels the handlers and hooks at work for one connection, and the memory that they take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sized
from contextvars import Context
from functools import partial
from typing import Any

from crosswire.server.usual_context import UsualContext

HANDLER_OVERHEAD = 3072
"""Bytes of a handler that waits: its task, its coroutines and its context."""


class AllHandlers:
    """The handlers and hooks of all connections of a server that wait for something, and the limit on them.

    Beyond the limit, a connection may have no more than one at work, and those of connections that are gone are
    cancelled at once.

    Args:
        limit: maximum number.
        not_begun: handlers that were started, and begin in this turn of the event loop or the next.
        became_full: called when there are as many.

    Attributes:
        limit: as given.
        usual: the context that the connections share.
        waiting: their number; whoever changes it calls :meth:`check` where that matters.
        full: whether there are as many as the limit, or more.
    """

    __slots__ = ("_became_full", "_not_begun", "full", "limit", "usual", "waiting")

    def __init__(self, limit: int, not_begun: Sized, became_full: Callable[[], None]) -> None:
        self.limit = limit
        self._not_begun = not_begun
        self._became_full = became_full
        self.waiting = 0
        self.full = False
        self.usual = UsualContext()

    def may_be_full(self) -> bool:
        """Return whether there will be as many as the limit if all those wait that have not begun."""
        return self.full or self.waiting + len(self._not_begun) >= self.limit

    def check(self) -> None:
        """Note whether there are as many as the limit now."""
        was_full = self.full
        self.full = self.waiting >= self.limit
        if self.full and not was_full:
            self._became_full()


class RunningHandlers:
    """The asynchronous handlers and hooks of one connection, from their start to their end.

    Args:
        context: the connection's context variables, as ``authenticate`` and ``on_connect`` set them.
        total: counts those of all connections of the server.

    Attributes:
        total: as given.
        running: number of handlers and hooks that were started and have not ended.
        held: bytes of the messages that they hold; small messages count only where many handlers are at work.
        copy_context: returns a copy of the context, for one event.
    """

    __slots__ = ("_context", "_next", "_waiting", "copy_context", "held", "running", "total")

    def __init__(self, context: Context, total: AllHandlers) -> None:
        self.total = total
        usual = total.usual
        is_usual = usual.serves(context)
        self._context = None if is_usual else context  # None: until it needs its own
        self.copy_context = usual.copy if is_usual else context.copy
        self.running = 0
        self.held = 0
        self._waiting: dict[asyncio.Task[None], None] | None = None
        self._next: Callable[[], None] | None = None

    def context(self) -> Context:
        """Return the connection's own context, which keeps changes; only one hook at a time may run in it."""
        context = self._context
        if context is None:
            self._context = context = self.copy_context()
            self.copy_context = context.copy
        return context

    def share_context(self) -> None:
        """Give the connection's own context up, if nothing runs in it and no variable was set in it."""
        usual = self.total.usual
        if self._context is not None and usual.serves(self._context):
            self._context, self.copy_context = None, usual.copy

    def new_context(self) -> Context:
        """Return a copy of the context as it is now, for code that keeps this method: ``copy_context`` may change."""
        return self.copy_context()

    @property
    def memory(self) -> int:
        """Bytes that the handlers at work take, with their messages."""
        return self.held + self.running * HANDLER_OVERHEAD

    def job_ended(self, task: asyncio.Task[None] | None) -> None:
        """Count a handler as ended; :attr:`running` was incremented when it was started.

        Args:
            task: that waited for something, if it did; see :meth:`task_waits`.
        """
        self.running -= 1
        if task is not None:
            assert self._waiting is not None, "task_waits was called first"
            self._waiting.pop(task, None)
            total = self.total
            total.waiting -= 1
            if total.full:
                total.check()
        then = self._next
        if then is not None:
            self._next = None
            then()

    def job_dropped(self) -> None:
        """Count a handler as ended, which was not begun."""
        self.job_ended(None)

    def when_one_ends(self, then: Callable[[], None]) -> None:
        """Call ``then``, once, when the next handler ends."""
        self._next = then

    def follow(self, task: asyncio.Task[None], held: int = 0) -> None:
        """Count the task of a hook, and the bytes that it holds, as at work until it ends."""
        if not task.done():
            self.running += 1
            self.held += held
            self.task_waits(task)
            task.add_done_callback(partial(self._done, held))

    def task_waits(self, task: asyncio.Task[None]) -> None:
        """Note that a handler waits for something, and that its task runs nothing else."""
        if self._waiting is None:
            self._waiting = {}
        self._waiting[task] = None
        total = self.total
        total.waiting += 1
        if total.waiting >= total.limit:
            total.check()

    def is_waiting(self, task: asyncio.Task[Any] | None) -> bool:
        """Return whether a task belongs to a handler that waits."""
        return self._waiting is not None and task in self._waiting

    def cancel(self, besides: asyncio.Task[Any] | None) -> None:
        """Cancel the handlers that wait for something, but not the task ``besides``."""
        for task in list(self._waiting or ()):
            if task is not besides:
                task.cancel()

    def _done(self, held: int, task: asyncio.Task[None]) -> None:
        self.held -= held
        self.job_ended(task)
