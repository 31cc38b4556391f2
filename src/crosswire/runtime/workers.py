"""Runs many short coroutines without a task for each."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from time import monotonic
from types import coroutine
from typing import Any

from crosswire.runtime.slow import steps
from crosswire.runtime.tasks import Tasks

Job = Coroutine[Any, Any, None]
_NAME = "crosswire worker"


class _Entry:
    """A job that has not begun: of what it is, with its context, and its task if it got one at once."""

    __slots__ = ("context", "job", "task", "what")

    def __init__(self, job: Job, what: str, context: Context) -> None:
        self.job = job
        self.what = what
        self.context = context
        self.task: asyncio.Task[None] | None = None


class Workers:
    """Runs coroutines in the order they came, in tasks that are made only when one of them has to wait.

    A worker is a task that runs one job after the other. The job that waits for something keeps the worker's task
    for itself, and the jobs behind it go on in a new worker: so to every job it looks as if it had a task of its own,
    with its own context variables, but a job that never waits costs none.

    Jobs tend to do as those before them did. So after one that waited, each that comes gets a worker at once: they then
    begin in the same turn of the event loop, and what they send leaves together.

    Args:
        tasks: where the workers are run.
    """

    __slots__ = ("_hired", "_queue", "_tasks", "_turn", "_wait")

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._queue: deque[_Entry] = deque()
        self._hired = 0  # workers that take from the queue, or are about to
        self._wait = False  # whether jobs wait, as far as it is known from the last ones
        self._turn: object | None = None  # of the event loop, in which jobs of workers of their own began

    @property
    def waiting(self) -> bool:
        """Whether there are jobs that have not begun."""
        return bool(self._queue)

    def start(self, job: Job, what: str = "") -> None:
        """Run a job soon, whose steps are watched as those of ``what``.

        It handles its own errors; its owner bounds how many there are.
        """
        context = copy_context()
        entry = _Entry(job, what, context)
        self._queue.append(entry)
        if self._wait:
            self._hired += 1
            entry.task = self._tasks.begin(self._work_on(entry), _NAME, context)
        elif not self._hired:
            try:
                self._hire()
            except BaseException:
                self._queue.remove(entry)
                job.close()
                raise

    def drop(self) -> None:
        """Forget the jobs that have not begun."""
        while self._queue:
            self._queue.popleft().job.close()
        self._hired = 0

    def _hire(self) -> None:
        self._hired += 1
        try:
            self._tasks.start(self._work(), _NAME)
        except BaseException:
            self._hired -= 1
            raise

    def _leave(self) -> None:
        """Take from the queue no more; see to it that somebody does."""
        if self._hired:  # those hired before a drop are not counted
            self._hired -= 1
        if self._queue and not self._hired:
            for _ in range(len(self._queue) if self._wait else 1):
                self._hire()

    async def _work_on(self, entry: _Entry) -> None:
        """Run one job, whose context is that of this task, if its turn has come; else whatever comes first."""
        queue = self._queue
        try:
            if not queue or queue[0] is not entry:
                await self._work()
                return
            queue.popleft()
            self._leave()
            if (turn := self._turn) is None:
                turn = self._turn = object()
                asyncio.get_running_loop().call_soon(self._end_turn)
            watch = self._tasks.watch
            await (entry.job if watch is None else steps(entry.job, entry.what, watch))
            if self._turn is turn:
                self._wait = False
        except Exception as error:  # noqa: BLE001 - reported
            self._tasks.failed(_NAME, error)
        finally:
            if entry.task is not None:
                self._tasks.end(entry.task)

    def _end_turn(self) -> None:
        self._turn = None

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        while self._queue:
            entry = self._queue.popleft()
            if await self._run(entry.job, entry.what, entry.context):
                return
            if task.cancelling():  # the job that just ended was meant, not the next
                break
        self._leave()

    @coroutine
    def _run(self, job: Job, what: str, context: Context) -> Generator[Any, Any, bool]:
        """Run a job to its end; tell whether it had to wait, and the queue therefore has other workers now."""
        watch = self._tasks.watch
        began = 0.0 if watch is None else monotonic()
        try:
            waits_for = context.run(job.send, None)
        except StopIteration:
            return False
        except BaseException:
            self._leave()  # it ends this worker, and is reported for it
            raise
        finally:
            if watch is not None and monotonic() - began > watch.limit:
                watch.tell(what, began)
        self._wait = True
        self._leave()
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
            began = 0.0 if watch is None else monotonic()
            try:
                waits_for = context.run(step, argument)
            except StopIteration:
                return True
            finally:
                if watch is not None and monotonic() - began > watch.limit:
                    watch.tell(what, began)
