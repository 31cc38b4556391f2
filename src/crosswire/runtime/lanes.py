"""Tasks that handlers which wait for an answer use one after the other, without a turn of the event loop.

A handler that calls another node waits once, for its answer. As a task of its own it would cost the making of the task,
a turn of the loop before it begins, a future, and one more turn when the answer has come: several times what the call
itself costs. A lane keeps a task that has been made already. The handler begins in the callback that brings its event,
goes on in the callback that brings the answer, and is for all that asks the task: it can be cancelled, have timeouts
and groups of tasks, and nobody else has the task until it has ended.
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task  # see "Extending" in Python's documentation of asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from types import coroutine
from typing import Any

from crosswire.runtime import environment
from crosswire.runtime.answer_futures import AnswerFuture
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.contexts import resume
from crosswire.runtime.jobs import Entry, Job

MAX_IDLE = 512
"""Lanes of one owner that are kept while no handler uses them; each takes less than 2 KiB."""


class Lane:
    """A task that waits, and stands for one job after the other as long as these wait for nothing but answers.

    For its task, a lane is the future that it waits for. The steps of a job run outside of the task's own steps, while
    the task is entered as the current one. A job that waits for anything else is handed over to the task itself, which
    ends with it.

    Args:
        task: the current task, which calls :meth:`serve`.
        tasks: of the owner; they have the lanes that no job uses.

    Attributes:
        task: as given.
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_entry",
        "_error",
        "_go_on",
        "_is_cancelled",
        "_is_woken",
        "_loop",
        "_must_cancel",
        "_tasks",
        "_waits_for",
        "_wake",
        "_watch",
        "task",
    )

    def __init__(self, task: asyncio.Task[None], tasks: BackgroundTasks) -> None:
        self.task = task
        self._tasks = tasks
        self._watch = tasks.watch
        self._loop = asyncio.get_running_loop()
        self._asyncio_future_blocking = False
        self._wake: Callable[[], object] | None = None
        self._go_on = self.go_on  # bound once
        self._entry: Entry | None = None
        self._error: BaseException | None = None
        self._waits_for: Any = None  # of a job; None while a step of it runs
        self._is_woken = self._is_cancelled = self._must_cancel = False

    async def serve(self) -> None:
        """Stand for jobs until one has to be handed over, or the owner waits for the end of its tasks."""
        self._tasks.idle.append(self)
        await self
        if self._entry is not None:
            await self._finish(self._entry)

    def end(self) -> None:
        """End the task, which stands for no job."""
        self._wake_task()

    # Steps of a job. Each call of another node takes two, so what usually follows the first one stands behind it, and
    # what usually follows the last one behind the others.

    def begin(self, entry: Entry) -> bool:
        """Run the first step of a job now; return False if that is not possible, as a task is at work."""
        loop, task = self._loop, self.task
        try:
            _enter_task(loop, task)
        except RuntimeError:
            return False
        self._entry = entry
        job, context, events, what = entry
        watch = self._watch
        began = 0.0 if watch is None else environment.monotonic()
        try:
            waits_for = context.run(job.send, None)
        except StopIteration:
            waits_for = self
        except BaseException as error:  # noqa: BLE001 - the task raises it
            waits_for, self._error = None, error
        _leave_task(loop, task)
        if watch is not None and environment.monotonic() - began > watch.limit:
            watch.report(what, began)
        if waits_for is self:
            if events is not None:
                events.job_ended(None)
            self._stand_for_next()
            return True
        if events is not None:
            events.task_waits(task)
        if isinstance(waits_for, AnswerFuture) and waits_for.go_on is None and not self._must_cancel:
            self._waits_for = waits_for
            waits_for.go_on = self._go_on
        else:
            self._wait_for(waits_for)
        return True

    def go_on(self) -> None:
        """Run the next step of the job now: what it waited for is there."""
        loop, task, entry = self._loop, self.task, self._entry
        assert entry is not None, "a job waits"
        try:
            _enter_task(loop, task)
        except RuntimeError:  # a task brings the answer, such as that of a node to itself: go on in the next turn
            loop.call_soon(self._go_on)
            return
        self._waits_for = None
        job, context, events, what = entry
        watch = self._watch
        began = 0.0 if watch is None else environment.monotonic()
        try:
            waits_for = context.run(job.send, None) if not self._must_cancel else self._cancel_step(job, context)
        except StopIteration:
            waits_for = self
        except BaseException as error:  # noqa: BLE001 - as above
            waits_for, self._error = None, error
        _leave_task(loop, task)
        if watch is not None and environment.monotonic() - began > watch.limit:
            watch.report(what, began)
        if waits_for is not self:
            self._wait_for(waits_for)
            return
        if events is not None:
            events.job_ended(task)
        self._stand_for_next()

    def _cancel_step(self, job: Job, context: Context) -> Any:
        """Cancel the job where it waits; return what it waits for next."""
        self._must_cancel = False
        return context.run(job.throw, asyncio.CancelledError())

    def _wait_for(self, waits_for: Any) -> None:
        """Wait for what the job waits for: the lane for an answer, the task for all else, and for what has raised."""
        self._waits_for = waits_for
        if not isinstance(waits_for, AnswerFuture) or waits_for.go_on is not None:
            self._wake_task()
            return
        waits_for.go_on = self._go_on
        if self._must_cancel:
            self._must_cancel = False
            self.cancel()

    def _stand_for_next(self) -> None:
        """Stand for the next job, or end the task."""
        self._entry = None
        self._must_cancel = False  # of the job that has ended, which has not waited again
        tasks = self._tasks  # the rest is `may_be_kept`, which would be one call more
        if tasks.waited_for or self.task.cancelling() or len(tasks.idle) >= MAX_IDLE:
            self._wake_task()
        else:
            tasks.idle.append(self)

    # In the task itself

    @coroutine
    def _finish(self, entry: Entry) -> Generator[Any, Any, None]:
        """Run a job to its end that waits for something else than an answer, or raise what it has raised."""
        job, context, events, what = entry
        try:
            if self._error is not None:
                raise self._error
            waits_for = self._waits_for
            if self._must_cancel and not _cancel(waits_for, None):
                try:
                    waits_for = context.run(job.throw, asyncio.CancelledError())
                except StopIteration:
                    return
            yield from resume(job, waits_for, context, self._watch, what)
        finally:
            if events is not None:
                events.job_ended(self.task)

    def _wake_task(self) -> None:
        wake = self._wake
        assert wake is not None, "the task waits for its lane"
        self._is_woken = True
        self._loop.call_soon(wake)

    # What a task uses of the future that it waits for

    def __await__(self) -> Generator[Any, Any, None]:
        self._asyncio_future_blocking = True
        yield self

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop of the task."""
        return self._loop

    def add_done_callback(self, wake: Callable[[Any], object], *, context: Context | None = None) -> None:
        """Remember what wakes the task."""
        self._wake = lambda: wake(self) if context is None else context.run(wake, self)

    def result(self) -> None:
        """Let the task go on, or end it as cancelled."""
        if self._is_cancelled:
            raise asyncio.CancelledError

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the job that the task stands for, as the task does with what it waits for; else end the task."""
        if self._entry is None:
            self._is_cancelled = True
            if not self._is_woken:
                if self in self._tasks.idle:
                    self._tasks.idle.remove(self)
                self._wake_task()
        elif self._waits_for is None or self._is_woken:
            self._must_cancel = True
        elif self._waits_for.cancel(msg=msg):
            self._waits_for.go_on = None
            self._loop.call_soon(self._go_on)
        else:  # the answer came in a task's step, and the next step of the job is about to run
            self._must_cancel = True
        return True


def may_be_kept(task: asyncio.Task[None], tasks: BackgroundTasks) -> bool:
    """Return whether the task of a job that has ended may wait for the next one, in a lane."""
    return not (tasks.waited_for or task.cancelling() or len(tasks.idle) >= MAX_IDLE)


def _cancel(awaited: Any, msg: Any) -> bool:
    """Cancel what a job waits for; return False if that is nothing, or done."""
    return awaited is not None and bool(awaited.cancel(msg=msg))
