from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.lanes import MAX_IDLE
from crosswire.runtime.workers import Workers
from tests.support.aio import wait_until
from tests.support.answers import Asked

who: ContextVar[str] = ContextVar("who", default="nobody")


class Peer:
    """A peer that answers what jobs ask when the test says so, in a callback of the event loop."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    async def ask(self) -> Any:
        future = Asked()
        self.asked.append(future)
        return await future

    def answer(self, value: Any = None) -> None:
        """Answer the question that was asked first."""
        future = self.asked.pop(0)
        if future.is_done:
            return
        if isinstance(value, Exception):
            future.set_exception(value)
        else:
            future.set_result(value)


async def in_callback(call: Callable[[], object]) -> None:
    """Call a function as the event loop does, in no task; return before the next turn."""
    done = asyncio.get_running_loop().create_future()

    def run() -> None:
        try:
            call()
        finally:
            done.set_result(None)

    asyncio.get_running_loop().call_soon(run)
    await done


class Jobs:
    """Workers with one lane that is idle, and the events of a job."""

    def __init__(self) -> None:
        self.tasks = BackgroundTasks()
        self.workers = Workers(self.tasks)
        self.peer = Peer()
        self.waiting: list[asyncio.Task[None]] = []
        self.at_work = 0

    async def open_lane(self) -> asyncio.Task[Any]:
        """Run a job that waits for an answer, and return the task that is kept."""
        seen: list[Any] = []

        async def first() -> None:
            await self.peer.ask()

        async def second() -> None:
            seen.append(asyncio.current_task())
            await self.peer.ask()

        self.start(first())  # the one after a job that waited has a worker of its own, which becomes a lane
        await wait_until(lambda: self.peer.asked)
        self.start(second())
        await wait_until(lambda: len(self.peer.asked) == 2)
        self.peer.answer()
        self.peer.answer()
        await wait_until(lambda: self.tasks.idle)
        return seen[0]  # type: ignore[no-any-return]

    def start(self, job: Coroutine[Any, Any, None]) -> None:
        self.at_work += 1
        self.workers.start(job, copy_context(), self, "x")

    def task_waits(self, task: asyncio.Task[None]) -> None:
        self.waiting.append(task)

    def job_ended(self, task: asyncio.Task[None] | None) -> None:
        self.at_work -= 1
        if task is not None:
            self.waiting.remove(task)

    def job_dropped(self) -> None:
        self.at_work -= 1

    async def end(self) -> None:
        assert await self.tasks.wait(20)
        assert not self.at_work
        assert not self.waiting
        assert not self.tasks.idle


async def test_a_job_in_a_lane_begins_and_goes_on_in_the_callbacks_that_bring_event_and_answer() -> None:
    jobs, steps = Jobs(), list[Any]()
    task = await jobs.open_lane()

    async def job() -> None:
        steps.append(asyncio.current_task())
        steps.append(await jobs.peer.ask())
        steps.append(asyncio.current_task())

    def event_and_answer() -> None:
        jobs.start(job())
        assert steps == [task]
        assert jobs.waiting == [task]
        jobs.peer.answer(5)
        assert steps == [task, 5, task]

    for _ in range(3):
        steps.clear()
        await in_callback(event_and_answer)
    assert steps == [task, 5, task]
    await jobs.end()
    assert task.done()


async def test_what_a_lane_can_not_do_its_task_does() -> None:
    jobs, steps = Jobs(), list[Any]()
    task = await jobs.open_lane()
    other = asyncio.get_running_loop().create_future()

    async def job() -> None:
        steps.append(await jobs.peer.ask())
        await asyncio.sleep(0)
        steps.append(await other)
        steps.append(await jobs.peer.ask())
        assert asyncio.current_task() is task

    await in_callback(lambda: jobs.start(job()))
    await in_callback(lambda: jobs.peer.answer(1))
    other.set_result(2)
    await wait_until(lambda: jobs.peer.asked)
    await in_callback(lambda: jobs.peer.answer(3))
    await wait_until(lambda: steps == [1, 2, 3])
    await jobs.end()


async def test_a_refusal_is_raised_in_the_job() -> None:
    jobs, refused = Jobs(), list[str]()
    await jobs.open_lane()

    async def job() -> None:
        try:
            await jobs.peer.ask()
        except OSError as error:
            refused.append(str(error))

    await in_callback(lambda: jobs.start(job()))
    await in_callback(lambda: jobs.peer.answer(OSError("no")))
    assert refused == ["no"]
    await jobs.end()


async def test_each_job_has_its_own_context_variables() -> None:
    jobs, seen = Jobs(), list[str]()
    await jobs.open_lane()

    async def job(name: str) -> None:
        seen.append(who.get())
        who.set(name)
        await jobs.peer.ask()
        seen.append(who.get())

    for name in ("a", "b"):
        await in_callback(lambda name=name: jobs.start(job(name)))  # type: ignore[misc]
        await in_callback(jobs.peer.answer)
    assert seen == ["nobody", "a", "nobody", "b"]
    await jobs.end()


@pytest.mark.parametrize("waits_for", ["answer", "turn", "future"])
async def test_cancelling_the_task_of_a_job_reaches_the_job_and_no_other(waits_for: str) -> None:
    jobs, ended = Jobs(), list[str]()
    task = await jobs.open_lane()
    future = asyncio.get_running_loop().create_future()

    async def job() -> None:
        try:
            if waits_for == "answer":
                await jobs.peer.ask()
            elif waits_for == "turn":
                await asyncio.sleep(0)
                await asyncio.sleep(60)
            else:
                await future
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    def begin_and_cancel() -> None:
        jobs.start(job())
        assert task.cancel()

    await in_callback(begin_and_cancel)
    await wait_until(task.done)
    assert (ended, task.cancelled(), jobs.waiting) == (["cancelled"], True, [])
    if waits_for == "future":
        assert future.cancelled()
    assert not jobs.tasks.idle


async def test_a_job_that_is_cancelled_may_go_on() -> None:
    jobs, answers = Jobs(), list[Any]()
    task = await jobs.open_lane()

    async def job() -> None:
        try:
            await jobs.peer.ask()
        except asyncio.CancelledError:
            answers.append(await jobs.peer.ask())

    await in_callback(lambda: jobs.start(job()))
    task.cancel()
    await wait_until(lambda: len(jobs.peer.asked) == 2)
    jobs.peer.asked.pop(0)
    await in_callback(lambda: jobs.peer.answer("late"))
    assert answers == ["late"]
    await wait_until(task.done)  # a task that was cancelled stands for no other job
    await jobs.end()


async def test_a_job_that_cancels_itself_is_cancelled_where_it_waits_next() -> None:
    jobs, ended = Jobs(), list[str]()
    task = await jobs.open_lane()

    async def job() -> None:
        task.cancel()
        ended.append("goes on")
        try:
            await jobs.peer.ask()
        except asyncio.CancelledError:
            ended.append("cancelled")

    await in_callback(lambda: jobs.start(job()))
    await wait_until(task.done)
    assert ended == ["goes on", "cancelled"]
    await jobs.end()


async def test_timeouts_and_groups_of_tasks_work_in_a_lane() -> None:
    jobs, ended = Jobs(), list[Any]()
    await jobs.open_lane()

    async def late() -> None:
        try:
            async with asyncio.timeout(0.01):
                await jobs.peer.ask()
        except TimeoutError:
            ended.append("late")
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
            both = group.create_task(jobs.peer.ask())
        ended.append(both.result())

    await in_callback(lambda: jobs.start(late()))
    await wait_until(lambda: len(jobs.peer.asked) == 2)
    jobs.peer.asked.pop(0)
    await in_callback(lambda: jobs.peer.answer("in a group"))
    await wait_until(lambda: ended == ["late", "in a group"])
    await jobs.end()


async def test_an_answer_that_comes_in_a_task_lets_the_job_go_on_in_the_next_turn() -> None:
    jobs, answers = Jobs(), list[Any]()
    await jobs.open_lane()

    async def job() -> None:
        answers.append(await jobs.peer.ask())

    await in_callback(lambda: jobs.start(job()))
    jobs.peer.answer(1)  # in this task
    assert answers == []
    await wait_until(lambda: answers == [1])
    jobs.start(job())  # in this task: no lane is used
    await wait_until(lambda: jobs.peer.asked)
    jobs.peer.answer(2)
    await wait_until(lambda: answers == [1, 2])
    await jobs.end()


async def test_a_job_whose_answer_has_come_can_be_cancelled_before_it_goes_on() -> None:
    jobs, ended = Jobs(), list[str]()
    task = await jobs.open_lane()

    async def job() -> None:
        try:
            await jobs.peer.ask()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    await in_callback(lambda: jobs.start(job()))
    jobs.peer.answer(1)
    task.cancel()
    await wait_until(task.done)
    assert ended == ["cancelled"]
    await jobs.end()


async def test_a_job_that_fails_is_logged_and_its_lane_ends(caplog: pytest.LogCaptureFixture) -> None:
    jobs = Jobs()
    task = await jobs.open_lane()

    async def job() -> None:
        await jobs.peer.ask()
        raise OSError("it fails")

    await in_callback(lambda: jobs.start(job()))
    await in_callback(jobs.peer.answer)
    await wait_until(task.done)
    assert "it fails" in caplog.text
    await jobs.end()


@pytest.mark.parametrize("cancel", [False, True])
async def test_idle_lanes_end_with_the_tasks_of_their_owner(cancel: bool) -> None:
    jobs = Jobs()
    task = await jobs.open_lane()
    if cancel:
        await jobs.tasks.cancel()
    else:
        assert await jobs.tasks.wait(0)
    assert task.done()
    assert len(jobs.tasks) == 0


async def test_a_lane_at_work_ends_with_its_job_while_somebody_waits_for_it() -> None:
    jobs = Jobs()
    await jobs.open_lane()

    async def job() -> None:
        await jobs.peer.ask()

    await in_callback(lambda: jobs.start(job()))
    waiting = asyncio.ensure_future(jobs.tasks.wait(20))
    await asyncio.sleep(0)
    await in_callback(jobs.peer.answer)
    assert await waiting
    await jobs.end()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(st.sampled_from(["answer", "sleep", "cancel"]), max_size=3), max_size=8), st.randoms())
async def test_jobs_end_whatever_they_wait_for_and_whoever_cancels_them(plans: list[list[str]], random: Any) -> None:
    jobs = Jobs()
    await jobs.open_lane()
    ended: list[int] = []

    async def job(number: int, plan: list[str]) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            for each in plan:
                assert asyncio.current_task() is task
                if each == "answer":
                    assert await jobs.peer.ask() == "yes"
                elif each == "sleep":
                    await asyncio.sleep(0)
                else:
                    task.cancel()
        except asyncio.CancelledError:
            assert "cancel" in plan
        ended.append(number)

    for number, plan in enumerate(plans):
        await in_callback(lambda number=number, plan=plan: jobs.start(job(number, plan)))  # type: ignore[misc]
        if random.random() < 0.5 and jobs.peer.asked:
            await in_callback(lambda: jobs.peer.answer("yes"))
    while len(ended) < len(plans):
        await asyncio.sleep(0)
        if jobs.peer.asked:
            await in_callback(lambda: jobs.peer.answer("yes"))
    await jobs.end()


async def test_a_cancellation_that_a_job_has_withdrawn_does_not_reach_the_next_job() -> None:
    jobs, done = Jobs(), list[str]()
    task = await jobs.open_lane()

    async def withdraws() -> None:
        task.cancel()
        task.uncancel()
        done.append("withdrawn")

    async def next_one() -> None:
        assert asyncio.current_task() is task
        done.append("next")

    await in_callback(lambda: jobs.start(withdraws()))
    await in_callback(lambda: jobs.start(next_one()))
    assert done == ["withdrawn", "next"]
    await jobs.end()


async def test_no_more_lanes_are_kept_than_the_limit_after_a_burst_of_jobs() -> None:
    jobs = Jobs()
    await jobs.open_lane()

    async def job() -> None:
        await jobs.peer.ask()

    for _ in range(MAX_IDLE + 20):
        jobs.start(job())
    await wait_until(lambda: len(jobs.peer.asked) == MAX_IDLE + 20)
    while jobs.peer.asked:
        jobs.peer.answer()
    await wait_until(lambda: not jobs.waiting)
    assert len(jobs.tasks.idle) <= MAX_IDLE
    await jobs.end()
