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
from crosswire.runtime.contexts import go_on
from crosswire.runtime.slow_handlers import go_on_watched

Job = Coroutine[Any, Any, None]
_NAME = "crosswire worker"


class JobEvents(Protocol):
    """Whose jobs they are, and who may have to cancel them."""

    def waits(self, task: asyncio.Task[None], /) -> None:
        """A job of it waits for something, and has this task for itself from now on."""

    def released(self, task: asyncio.Task[None], /) -> None:
        """That job has ended."""

    def dropped(self) -> None:
        """A job of it is forgotten before it began."""


_Entry = tuple[Job, Context, JobEvents | None, str]
"""A job that has not begun: with its context, its owner, and of what it is. A tuple is the cheapest there is."""


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
        waiting: the jobs that have not begun; for others to look at, whether there are any.
    """

    __slots__ = ("_hired", "_tasks", "_turn", "_wait", "_watch", "waiting")

    def __init__(self, tasks: BackgroundTasks) -> None:
        self._tasks = tasks
        self._watch = tasks.watch
        self.waiting: deque[_Entry] = deque()
        self._hired = 0  # workers that take from the queue, or are about to
        self._wait = False  # whether jobs wait, as far as it is known from the last ones
        self._turn: object | None = None  # of the event loop, in which jobs of workers of their own began

    def start(self, job: Job, context: Context, owner: JobEvents | None = None, what: str = "") -> None:
        """Run a job soon, in a context of its own; its steps are watched as those of ``what``.

        It handles its own errors. Who starts it bounds how many there are.
        """
        entry = (job, context, owner, what)
        self.waiting.append(entry)
        if self._wait:
            self._hired += 1
            task: list[asyncio.Task[None]] = []
            task.append(self._tasks.begin(self._work_on(entry, task), _NAME, context))
        elif not self._hired:
            try:
                self._hire()
            except BaseException:
                self.waiting.remove(entry)
                job.close()
                raise

    def drop(self) -> None:
        """Forget the jobs that have not begun."""
        while self.waiting:
            job, _, owner, _ = self.waiting.popleft()
            job.close()
            if owner is not None:
                owner.dropped()
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
        if self.waiting and not self._hired:
            for _ in range(len(self.waiting) if self._wait else 1):
                self._hire()

    async def _work_on(self, entry: _Entry, begun: list[asyncio.Task[None]]) -> None:
        """Run one job, whose context is that of this task, if its turn has come; else whatever comes first.

        ``begun`` holds this task, unless its first step runs at once: to ask for it takes long before Python 3.12.
        """
        queue, task = self.waiting, begun[0] if begun else _current()
        try:
            if not queue or queue[0] is not entry:
                await self._work(entry)
                return
            queue.popleft()
            self._leave()
            if (turn := self._turn) is None:
                turn = self._turn = object()
                asyncio.get_running_loop().call_soon(self._end_turn)
            await self._owned(entry, task)
            if self._turn is turn:
                self._wait = False
        except Exception as error:  # noqa: BLE001 - reported
            self._tasks.failed(_NAME, error)
        finally:
            self._tasks.end(task)

    @coroutine
    def _owned(self, entry: _Entry, task: asyncio.Task[None]) -> Generator[Any, Any, None]:
        """Run the job of a worker of its own."""
        job, _, owner, what = entry
        watch = self._watch
        if owner is not None:
            owner.waits(task)
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
            yield from go_on_watched(None, job, waits_for, what, watch)
        finally:
            if owner is not None:
                owner.released(task)

    def _end_turn(self) -> None:
        self._turn = None

    async def _work(self, own: _Entry | None = None) -> None:
        """Run what comes first; ``own`` is in the context of this task already."""
        task = _current()
        while self.waiting:
            entry = self.waiting.popleft()
            if entry is own:
                self._leave()
                await self._owned(entry, task)
                return
            if await self._run(entry, task):
                return
            if task.cancelling():  # the job that just ended was meant, not the next
                break
        self._leave()

    @coroutine
    def _run(self, entry: _Entry, task: asyncio.Task[None]) -> Generator[Any, Any, bool]:
        """Run a job to its end; tell whether it had to wait, and the queue therefore has other workers now."""
        job, context, owner, what = entry
        watch = self._watch
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
                watch.report(what, began)
        self._wait = True
        self._leave()
        if owner is not None:
            owner.waits(task)
        try:
            if watch is None:
                yield from go_on(context, job, waits_for)
            else:
                yield from go_on_watched(context, job, waits_for, what, watch)
        finally:
            if owner is not None:
                owner.released(task)
        return True


def _current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None, "a worker is a task"
    return task
