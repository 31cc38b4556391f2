"""Types of the jobs that workers and lanes run: coroutines of handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, Protocol

Job = Coroutine[Any, Any, None]
"""The coroutine of one or several handlers; it handles its own errors."""


class JobEvents(Protocol):
    """Callbacks for the life of a job. They name the task to cancel if the job has to be cancelled."""

    def task_waits(self, task: asyncio.Task[None], /) -> None:
        """Note the task of a job that waits for the first time; ``task`` runs no other jobs until the job has ended."""

    def job_ended(self, task: asyncio.Task[None] | None, /) -> None:
        """Note the end of a job: of the one that was alone in ``task``, or with None of one that has never waited."""

    def job_dropped(self) -> None:
        """Note that a job was discarded before it has begun."""


Entry = tuple[Job, Context, JobEvents | None, str]
"""Arguments of ``Workers.start`` for a job that has not begun; nothing is made faster than a tuple."""
