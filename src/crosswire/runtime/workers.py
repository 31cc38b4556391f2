"""Running many short coroutines without a task for each."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator
from contextvars import Context
from types import coroutine
from typing import Any, cast

from crosswire.runtime import environment
from crosswire.runtime.answer_futures import AnswerFuture
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.contexts import resume
from crosswire.runtime.flusher import Flushable
from crosswire.runtime.jobs import Entry, Job, JobEvents
from crosswire.runtime.lanes import Lane, may_be_kept

_TASK_NAME = "crosswire worker"


class Workers:
    """Runs coroutines, the jobs, in the order in which they were started. Only a job that has to wait costs a task.

    A worker is a task that runs one job after the other. A job that waits for something keeps the worker's task for
    itself, and a new worker runs the jobs behind it. So every job seems to have its own task and context variables.

    Jobs often do as the jobs before them did. So after a job that waited, each new job gets a worker at once. Such jobs
    begin in the same turn of the event loop, and the messages that they send leave together.

    The task of a job that waited for an answer alone is kept as a :class:`~crosswire.runtime.lanes.Lane`: the next job
    begins in it at once, if none is before it.

    Args:
        tasks: run the workers.
        at_end_of_turn: calls ``flush`` of its argument at the end of the event loop's turn, behind what is scheduled
            already; None if jobs send nothing that is flushed.

    Attributes:
        watch: warns of steps of jobs that take too long; the same as that of ``tasks``.
        waiting: the jobs that have not begun. Other classes only test whether there are any.
    """

    __slots__ = ("_at_end_of_turn", "_idle", "_jobs_wait", "_takers", "_tasks", "_turn", "waiting", "watch")

    def __init__(self, tasks: BackgroundTasks, at_end_of_turn: Callable[[Flushable], None] | None = None) -> None:
        self._tasks = tasks
        self._at_end_of_turn = at_end_of_turn
        self._idle = cast(list[Lane], tasks.idle)
        self.watch = tasks.watch
        self.waiting: deque[Entry] = deque()
        self._takers = 0  # workers that take jobs from the queue, or are about to
        self._jobs_wait = False  # whether the last jobs had to wait, so that the next ones probably have to
        self._turn: object | None = None  # a mark of this turn of the event loop, if jobs with their own workers began

    def start(self, job: Job, context: Context, events: JobEvents | None = None, what: str = "") -> None:
        """Run a job soon, behind the jobs that were started before.

        Args:
            job: handles its own errors. The caller bounds the number of jobs.
            context: the job's own context.
            events: callbacks for the life of the job.
            what: the event that the job handles, for a warning of a step that takes too long.
        """
        entry = (job, context, events, what)
        if self._idle and not self.waiting:
            lane = self._idle.pop()
            if lane.begin(entry):
                return
            self._idle.append(lane)
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
                events.job_dropped()
        self._takers = 0

    def _add_worker(self) -> None:
        self._takers += 1
        try:
            self._tasks.start(self._run_queue(), _TASK_NAME)
        except BaseException:
            self._takers -= 1
            raise
        if self._at_end_of_turn is not None:  # else what the jobs send would leave at the end of the next turn
            self._at_end_of_turn(self)

    def flush(self) -> None:
        """Do nothing: that the turn ends behind the jobs is all that is wanted of its end."""

    def _stop_taking(self) -> None:
        """Note that a worker takes no more jobs from the queue, and add another if none does."""
        if self._takers:  # drop() has set it to 0, and workers from before a drop are not counted
            self._takers -= 1
        if self.waiting and not self._takers:
            for _ in range(len(self.waiting) if self._jobs_wait else 1):
                self._add_worker()

    async def _run_with_own_worker(self, entry: Entry, begun: list[asyncio.Task[None]]) -> None:
        """Run the job of ``entry`` if it is the first in the queue; if not, run the queue up to it.

        Args:
            entry: its context is the context of this task.
            begun: this task, in a list; empty if its first step runs at once. The list saves a call of
                ``current_task``, which is slow before Python 3.12.
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
            waited_for_answer = await self._run_own(entry, task)
            if self._turn is turn:
                self._jobs_wait = False
            elif waited_for_answer and may_be_kept(task, self._tasks):
                await Lane(task, self._tasks).serve()
        except Exception as error:  # noqa: BLE001 - reported
            self._tasks.failed(_TASK_NAME, error)
        finally:
            self._tasks.end(task)

    @coroutine
    def _run_own(self, entry: Entry, task: asyncio.Task[None]) -> Generator[Any, Any, bool]:
        """Run a job in a worker of its own, which was made with the job's context.

        Returns:
            Whether it waited first for an answer.
        """
        job, _, events, what = entry
        watch = self.watch
        if events is not None:
            events.task_waits(task)
        try:
            began = 0.0 if watch is None else environment.monotonic()
            try:
                waits_for = job.send(None)
            except StopIteration:
                return False
            finally:
                if watch is not None and environment.monotonic() - began > watch.limit:
                    watch.report(what, began)
            is_answer = isinstance(waits_for, AnswerFuture)
            yield from resume(job, waits_for, None, watch, what)
            return is_answer
        finally:
            if events is not None:
                events.job_ended(task)

    def _end_turn(self) -> None:
        self._turn = None

    async def _run_queue(self, own: Entry | None = None) -> None:
        """Run the jobs in the queue until one waits; ``own`` is the job whose context is the context of this task."""
        task = _current()
        while self.waiting:
            entry = self.waiting.popleft()
            if entry is own:
                self._stop_taking()
                await self._run_own(entry, task)
                return
            if await self._run_next(entry, task):
                return
            if task.cancelling():  # the job that has just ended was cancelled, not the next one
                break
        self._stop_taking()

    @coroutine
    def _run_next(self, entry: Entry, task: asyncio.Task[None]) -> Generator[Any, Any, bool]:
        """Run a job to its end; return whether it had to wait. If so, other workers run the queue now."""
        job, context, events, what = entry
        watch = self.watch
        began = 0.0 if watch is None else environment.monotonic()
        try:
            waits_for = context.run(job.send, None)
        except StopIteration:
            if events is not None:
                events.job_ended(None)
            return False
        except BaseException:
            if events is not None:
                events.job_ended(None)
            self._stop_taking()  # the exception ends this worker, and is reported for it
            raise
        finally:
            if watch is not None and environment.monotonic() - began > watch.limit:
                watch.report(what, began)
        self._jobs_wait = True
        self._stop_taking()
        if events is not None:
            events.task_waits(task)
        try:
            yield from resume(job, waits_for, context, watch, what)
        finally:
            if events is not None:
                events.job_ended(task)
        return True


def _current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None, "a worker is a task"
    return task
