"""Runs many short coroutines without a task for each."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Generator
from contextvars import Context
from time import monotonic
from types import coroutine
from typing import Any, Protocol

from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.contexts import resume

Job = Coroutine[Any, Any, None]
_TASK_NAME = "crosswire worker"


class JobEvents(Protocol):
    """Callbacks for what becomes of a job, for whoever may have to cancel it."""

    def waits(self, task: asyncio.Task[None], /) -> None:
        """Called when a job waits for the first time: it has this task for itself from now on."""

    def released(self, task: asyncio.Task[None], /) -> None:
        """Called when the job that had this task for itself has ended."""

    def dropped(self) -> None:
        """Called when a job is discarded before it has begun."""


_Entry = tuple[Job, Context, JobEvents | None, str]
"""Arguments of :meth:`Workers.start` for a job that has not begun; a tuple is the cheapest there is."""


class Workers:
    """Runs coroutines in the order they came, in tasks that are made only when one of them has to wait.

    A worker is a task that runs one job after the other. The job that waits for something keeps the worker's task
    for itself, and the jobs behind it go on in a new worker: so to every job it looks as if it had a task of its own,
    with its own context variables, but a job that never waits costs none.

    Jobs tend to do as those before them did. So after one that waited, each that comes gets a worker at once: they then
    begin in the same turn of the event loop, and what they send leaves together.

    Args:
        tasks: where the workers are run.

    Attributes:
        watch: warns of steps of jobs that take too long; that of the tasks.
        waiting: the jobs that have not begun; for others to look at, whether there are any.
    """

    __slots__ = ("_jobs_wait", "_takers", "_tasks", "_turn", "waiting", "watch")

    def __init__(self, tasks: BackgroundTasks) -> None:
        self._tasks = tasks
        self.watch = tasks.watch
        self.waiting: deque[_Entry] = deque()
        self._takers = 0  # workers that take jobs from the queue, or are about to
        self._jobs_wait = False  # whether jobs wait for something, as far as the last ones tell
        self._turn: object | None = None  # of the event loop, in which jobs with a worker of their own began

    def start(self, job: Job, context: Context, events: JobEvents | None = None, what: str = "") -> None:
        """Run a job soon, behind those that were started before.

        Args:
            job: handles its own errors. The number of jobs is to be bounded by the caller.
            context: the job's own.
            events: told what becomes of it.
            what: the event that it handles, for a warning of a step that takes too long.
        """
        entry = (job, context, events, what)
        self.waiting.append(entry)
        if self._jobs_wait:
            self._takers += 1
            task: list[asyncio.Task[None]] = []
            task.append(self._tasks.begin(self._run_with_own_worker(entry, task), _TASK_NAME, context))
        elif not self._takers:
            try:
                self._add_worker()
            except BaseException:
                self.waiting.remove(entry)
                job.close()
                raise

    def drop(self) -> None:
        """Discard the jobs that have not begun."""
        while self.waiting:
            job, _, events, _ = self.waiting.popleft()
            job.close()
            if events is not None:
                events.dropped()
        self._takers = 0

    def _add_worker(self) -> None:
        self._takers += 1
        try:
            self._tasks.start(self._run_queue(), _TASK_NAME)
        except BaseException:
            self._takers -= 1
            raise

    def _stop_taking(self) -> None:
        """Note that a worker takes no more jobs from the queue, and add another if none does."""
        if self._takers:  # those from before a drop are not counted
            self._takers -= 1
        if self.waiting and not self._takers:
            for _ in range(len(self.waiting) if self._jobs_wait else 1):
                self._add_worker()

    async def _run_with_own_worker(self, entry: _Entry, begun: list[asyncio.Task[None]]) -> None:
        """Run one job, whose context is that of this task, if it is the next in the queue; else what comes first.

        ``begun`` holds this task, unless its first step runs at once: to ask for it takes long before Python 3.12.
        """
        queue, task = self.waiting, begun[0] if begun else _current()
        try:
            if not queue or queue[0] is not entry:
                await self._run_queue(entry)
                return
            queue.popleft()
            self._stop_taking()
            if (turn := self._turn) is None:
                turn = self._turn = object()
                asyncio.get_running_loop().call_soon(self._end_turn)
            await self._run_own(entry, task)
            if self._turn is turn:
                self._jobs_wait = False
        except Exception as error:  # noqa: BLE001 - reported
            self._tasks.failed(_TASK_NAME, error)
        finally:
            self._tasks.end(task)

    @coroutine
    def _run_own(self, entry: _Entry, task: asyncio.Task[None]) -> Generator[Any, Any, None]:
        """Run a job in a worker of its own, whose context is the job's."""
        job, _, events, what = entry
        watch = self.watch
        if events is not None:
            events.waits(task)
        try:
            if watch is None:
                yield from job
                return
            began = monotonic()
            try:
                waits_for = job.send(None)
            except StopIteration:
                return
            finally:
                if monotonic() - began > watch.limit:
                    watch.report(what, began)
            yield from resume(job, waits_for, None, watch, what)
        finally:
            if events is not None:
                events.released(task)

    def _end_turn(self) -> None:
        self._turn = None

    async def _run_queue(self, own: _Entry | None = None) -> None:
        """Run the jobs in the queue until one waits; ``own`` is the one whose context this task has already."""
        task = _current()
        while self.waiting:
            entry = self.waiting.popleft()
            if entry is own:
                self._stop_taking()
                await self._run_own(entry, task)
                return
            if await self._run_next(entry, task):
                return
            if task.cancelling():  # the job that just ended was meant, not the next
                break
        self._stop_taking()

    @coroutine
    def _run_next(self, entry: _Entry, task: asyncio.Task[None]) -> Generator[Any, Any, bool]:
        """Run a job to its end; return whether it had to wait, and the queue therefore has other workers now."""
        job, context, events, what = entry
        watch = self.watch
        began = 0.0 if watch is None else monotonic()
        try:
            waits_for = context.run(job.send, None)
        except StopIteration:
            return False
        except BaseException:
            self._stop_taking()  # the exception ends this worker, and is reported for it
            raise
        finally:
            if watch is not None and monotonic() - began > watch.limit:
                watch.report(what, began)
        self._jobs_wait = True
        self._stop_taking()
        if events is not None:
            events.waits(task)
        try:
            yield from resume(job, waits_for, context, watch, what)
        finally:
            if events is not None:
                events.released(task)
        return True


def _current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None, "a worker is a task"
    return task
