"""Runs many short coroutines without a task for each."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from types import coroutine
from typing import Any

from crosswire.runtime.tasks import Tasks

Job = Coroutine[Any, Any, None]

_MOST_AT_ONCE = 64
"""Workers hired at once. A task begins in the next turn of the event loop: hired one after the other, each of many
jobs that wait would cost a turn."""


class Workers:
    """Runs coroutines in the order they came, in tasks that are made only when one of them has to wait.

    A worker is a task that runs one job after the other. The job that waits for something keeps the worker's task
    for itself, and the jobs behind it go on in a new worker: so to every job it looks as if it had a task of its own,
    with its own context variables, but a job that never waits costs none.

    Args:
        tasks: where the workers are run.
    """

    __slots__ = ("_free", "_queue", "_tasks")

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._queue: deque[tuple[Job, Context]] = deque()
        self._free = 0  # workers that wait for nothing, each of which will take the next job

    @property
    def waiting(self) -> bool:
        """Whether there are jobs that have not begun."""
        return bool(self._queue)

    def start(self, job: Job) -> None:
        """Run a job soon. It handles its own errors; its owner bounds how many there are."""
        self._queue.append((job, copy_context()))
        if not self._free:
            self._hire(1)

    def drop(self) -> None:
        """Forget the jobs that have not begun."""
        while self._queue:
            self._queue.popleft()[0].close()
        self._free = 0

    def _hire(self, most: int) -> None:
        while most and len(self._queue) > self._free:
            most -= 1
            self._free += 1
            self._tasks.start(self._work(), "crosswire worker")

    def _lose_one(self) -> None:
        self._free = max(self._free - 1, 0)  # after a drop, those that were free then are not counted

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        while self._queue:
            if await self._run(*self._queue.popleft()):
                return
            if task.cancelling():  # the job that just ended was meant, not the next
                self._lose_one()
                self._hire(1)
                return
        self._lose_one()

    @coroutine
    def _run(self, job: Job, context: Context) -> Generator[Any, Any, bool]:
        """Run a job to its end; tell whether it had to wait, and the queue therefore has another worker now."""
        try:
            waits_for = context.run(job.send, None)
        except StopIteration:
            return False
        except BaseException:
            self._lose_one()
            self._hire(1)  # it ends this worker, and is reported for it
            raise
        self._lose_one()
        self._hire(_MOST_AT_ONCE)  # where one waits, the next are likely to
        while True:
            try:
                value = yield waits_for
            except GeneratorExit:
                job.close()
                raise
            except BaseException as error:  # noqa: BLE001 - passed on to the job, cancellation too
                step: Callable[[Any], Any] = job.throw
                argument: Any = error
            else:
                step, argument = job.send, value
            try:
                waits_for = context.run(step, argument)
            except StopIteration:
                return True
