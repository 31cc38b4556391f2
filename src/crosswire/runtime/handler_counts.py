"""Counts of the asynchronous handlers that are bounded together."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import Protocol

from crosswire.runtime.contexts import ContextFactory
from crosswire.runtime.jobs import JobEvents


class HandlerCount(JobEvents, Protocol):
    """Count of the asynchronous handlers that are bounded together, such as those of one connection."""

    @property
    def running(self) -> int:
        """Number of handlers that were started and have not ended."""
        ...

    @running.setter
    def running(self, number: int) -> None: ...

    @property
    def copy_context(self) -> ContextFactory:
        """Function that returns a fresh context for the handlers of one event."""
        ...


class SharedHandlerCount:
    """Count of the asynchronous handlers of all senders; each runs in a copy of the current context."""

    __slots__ = ("running",)

    copy_context = staticmethod(copy_context)

    def __init__(self) -> None:
        self.running = 0

    def job_dropped(self) -> None:
        """Count a handler as ended, which was not begun."""
        self.running -= 1

    def task_waits(self, task: asyncio.Task[None]) -> None:
        """Ignore the task: it is cancelled with all other tasks."""

    def job_ended(self, _task: asyncio.Task[None] | None) -> None:
        """Count a handler as ended."""
        self.running -= 1
