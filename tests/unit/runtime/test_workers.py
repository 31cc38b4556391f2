from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Coroutine
from contextvars import ContextVar, copy_context
from types import coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosswire.errors import UsageError
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.flusher import Flusher
from crosswire.runtime.workers import Workers
from crosswire.testing.virtual_clock import VirtualClockLoop
from tests.support.aio import run, wait_until
from tests.support.loops import on_instant_loop

who: ContextVar[str] = ContextVar("who", default="nobody")
eager = sys.version_info >= (3, 12)


async def run_jobs(*jobs: Coroutine[Any, Any, None]) -> None:
    """Run jobs that are started in one turn of the loop until all have ended."""

    tasks = BackgroundTasks()
    workers = Workers(tasks)
    for job in jobs:
        workers.start(job, copy_context())
    assert await tasks.wait(60)


async def note_task(into: list[asyncio.Task[Any] | None], wait: bool) -> None:
    into.append(asyncio.current_task())
    if wait:
        await asyncio.sleep(1)
        into.append(asyncio.current_task())


@on_instant_loop
@pytest.mark.skipif(eager, reason="each begins at once in a task of its own")
async def test_jobs_that_do_not_wait_share_a_task() -> None:
    seen: list[asyncio.Task[Any] | None] = []
    await run_jobs(*(note_task(seen, wait=False) for _ in range(5)))
    assert len(seen) == 5
    assert len(set(seen)) == 1


async def test_what_jobs_send_is_flushed_at_the_end_of_their_turn() -> None:
    class Buffer:
        sent, flushed = 0, 0

        def flush(self) -> None:
            self.flushed = self.sent

    buffer, flusher, tasks = Buffer(), Flusher(), BackgroundTasks()
    workers = Workers(tasks, flusher.schedule)

    async def send() -> None:
        buffer.sent += 1
        flusher.schedule(buffer)

    for _ in range(3):
        workers.start(send(), copy_context())
    await asyncio.sleep(0)
    assert buffer.flushed == 3
    assert await tasks.wait(60)


@on_instant_loop
async def test_jobs_that_wait_have_a_task_each() -> None:
    seen: list[asyncio.Task[Any] | None] = []
    await run_jobs(*(note_task(seen, wait=True) for _ in range(5)))
    begun, resumed = seen[:5], seen[5:]
    assert begun == resumed
    assert len(set(begun)) == 5


@pytest.mark.skipif(eager, reason="each begins at once")
@on_instant_loop
async def test_jobs_after_one_that_waited_begin_in_one_turn_until_one_does_not() -> None:
    # At first the others follow in the next turn. Those that don't wait have a task each once, and then share one.
    tasks, begun, counts = BackgroundTasks(), list[asyncio.Task[Any] | None](), list[int]()
    workers = Workers(tasks)
    for wait in (True, True, False, False):
        for _ in range(5):
            workers.start(note_task(begun, wait=wait), copy_context())
        await asyncio.sleep(0)
        counts.append(len(begun))
        assert await tasks.wait(60)
        begun.clear()
    for _ in range(5):
        workers.start(note_task(begun, wait=False), copy_context())
    assert await tasks.wait(60)
    assert [*counts, len(set(begun))] == [1, 5, 5, 5, 1]


@on_instant_loop
@settings(max_examples=30)
@given(st.lists(st.sampled_from([None, 0, 1, 2]), max_size=12))
async def test_jobs_begin_in_order_and_each_ends_in_its_own_time(pauses: list[int | None]) -> None:
    begun: list[int] = []
    ended: list[int] = []

    async def job(number: int, pause: int | None) -> None:
        begun.append(number)
        if pause is not None:
            await asyncio.sleep(pause)
        ended.append(number)

    await run_jobs(*(job(number, pause) for number, pause in enumerate(pauses)))
    assert begun == list(range(len(pauses)))
    # None does not wait; 0 waits for the next turn of the loop.
    turns = [-1 if pause is None else pause for pause in pauses]
    assert [number for number in ended if turns[number] >= 1] == sorted(
        (number for number in begun if turns[number] >= 1), key=lambda number: turns[number]
    )
    assert sorted(ended) == begun


@on_instant_loop
async def test_a_job_that_waits_for_ever_holds_up_nobody() -> None:
    tasks, done = BackgroundTasks(), []
    workers = Workers(tasks)

    async def job(name: str) -> None:
        done.append(name)

    workers.start(asyncio.Event().wait(), copy_context())  # type: ignore[arg-type]
    workers.start(job("second"), copy_context())
    await wait_until(lambda: done == ["second"])
    workers.start(job("third"), copy_context())
    await wait_until(lambda: done == ["second", "third"] and len(tasks) == 1)
    await tasks.cancel()
    assert done == ["second", "third"]


@on_instant_loop
async def test_a_job_started_by_a_job_is_run() -> None:
    tasks, done = BackgroundTasks(), []
    workers = Workers(tasks)

    async def child(name: str) -> None:
        done.append(name)

    async def parent() -> None:
        workers.start(child("first"), copy_context())
        await asyncio.sleep(1)
        workers.start(child("second"), copy_context())

    workers.start(parent(), copy_context())
    assert await tasks.wait(60)
    assert done == ["first", "second"]


async def note_context(name: str, into: list[str], wait: bool) -> None:
    into.append(who.get())
    who.set(name)
    if wait:
        await asyncio.sleep(1)
        into.append(who.get())


@on_instant_loop
@pytest.mark.parametrize("wait", [False, True])
async def test_context_variables_do_not_leak_between_jobs(wait: bool) -> None:
    seen: list[str] = []
    await run_jobs(*(note_context(name, seen, wait) for name in "abc"))
    assert seen == ["nobody"] * 3 + (["a", "b", "c"] if wait else [])


@on_instant_loop
async def test_a_job_has_the_context_in_which_it_was_started() -> None:
    seen: list[str] = []

    tasks = BackgroundTasks()
    workers = Workers(tasks)

    async def start_as(name: str) -> None:
        who.set(name)
        workers.start(note_context("changed", seen, wait=True), copy_context())

    for name in ("a", "b"):
        await asyncio.create_task(start_as(name))
    # In one turn: the worker that the first one hires runs the second one's job too.
    await asyncio.gather(start_as("c"), start_as("d"))
    assert await tasks.wait(60)
    assert seen == ["a", "b", "c", "d", *["changed"] * 4]


@on_instant_loop
@pytest.mark.parametrize("wait", [False, True])
async def test_a_job_that_raises_is_logged_and_does_not_stop_the_others(
    wait: bool, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[int] = []

    async def job(number: int) -> None:
        if wait:
            await asyncio.sleep(1)
        if number % 2:
            raise KeyError(number)
        done.append(number)

    await run_jobs(*(job(number) for number in range(5)))
    assert done == [0, 2, 4]
    assert [record.getMessage() for record in caplog.records] == ["background task crosswire worker failed"] * 2


@on_instant_loop
async def test_a_job_that_is_cancelled_by_itself_does_not_stop_the_others() -> None:
    done: list[int] = []

    async def job(number: int) -> None:
        if number == 1:
            raise asyncio.CancelledError
        done.append(number)

    await run_jobs(*(job(number) for number in range(4)))
    assert done == [0, 2, 3]


@pytest.mark.skipif(eager, reason="each begins at once")
@on_instant_loop
async def test_a_job_that_raises_after_it_waited_starts_no_second_worker() -> None:
    tasks, counts = BackgroundTasks(), []
    workers = Workers(tasks)
    go = asyncio.Event()

    async def fails() -> None:
        await go.wait()
        for _ in range(3):
            workers.start(asyncio.sleep(0), copy_context())
        counts.append(len(tasks))
        raise asyncio.CancelledError

    workers.start(fails(), copy_context())
    await asyncio.sleep(0)
    go.set()
    await asyncio.sleep(0)
    counts.append(len(tasks))
    assert await tasks.wait(60)
    assert counts == [4, 4]  # after one that waited, each gets its worker when it is started


@on_instant_loop
async def test_cancellation_reaches_the_job_that_waits_and_no_other() -> None:
    tasks, notes = BackgroundTasks(), []
    workers = Workers(tasks)
    running: dict[str, asyncio.Task[Any]] = {}

    async def job(name: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        running[name] = task
        try:
            await asyncio.sleep(1)
            notes.append(f"{name} ended")
        except asyncio.CancelledError:
            notes.append(f"{name} cancelled")
            raise

    for name in "abc":
        workers.start(job(name), copy_context())
    await wait_until(lambda: len(running) == 3)
    running["b"].cancel()
    assert await tasks.wait(60)
    assert running["b"].cancelled()
    assert notes == ["b cancelled", "a ended", "c ended"]


@on_instant_loop
async def test_a_job_that_cancels_its_task_and_does_not_wait_hurts_no_other() -> None:
    notes: list[str] = []

    async def reckless() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    async def waits(name: str) -> None:
        await asyncio.sleep(1)
        notes.append(name)

    await run_jobs(waits("a"), reckless(), waits("b"), reckless(), reckless(), waits("c"))
    assert notes == ["a", "b", "c"]


@on_instant_loop
async def test_a_job_may_refuse_to_be_cancelled() -> None:
    notes: list[str] = []

    async def stubborn() -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            task.uncancel()
        await asyncio.sleep(1)
        notes.append("went on")

    await run_jobs(stubborn())
    assert notes == ["went on"]


@on_instant_loop
async def test_timeouts_work_in_jobs() -> None:
    notes: list[str] = []

    async def slow(name: str) -> None:
        try:
            async with asyncio.timeout(1):
                await asyncio.sleep(60)
        except TimeoutError:
            notes.append(f"{name} timed out")

    async def quick(name: str) -> None:
        async with asyncio.timeout(1):  # noqa: ASYNC100 - it is left before it waits for anything
            notes.append(name)

    await run_jobs(quick("a"), slow("b"), quick("c"), slow("d"), quick("e"))
    assert notes == ["a", "c", "e", "b timed out", "d timed out"]


@on_instant_loop
async def test_groups_of_tasks_work_in_jobs() -> None:
    notes: list[str] = []

    async def part(name: str) -> str:
        await asyncio.sleep(1)
        notes.append(name)
        return name

    async def group() -> None:
        async with asyncio.TaskGroup() as parts:
            first, second = parts.create_task(part("a")), parts.create_task(part("b"))
        notes.append(first.result() + second.result())

    await run_jobs(group())
    assert notes == ["a", "b", "ab"]


@on_instant_loop
async def test_an_awaitable_that_fails_raises_in_the_job() -> None:
    notes: list[str] = []

    async def job() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(1, future.set_exception, KeyError("reason"))
        try:
            await future
        except KeyError as error:
            notes.append(repr(error))

    await run_jobs(job())
    assert notes == ["KeyError('reason')"]


@pytest.mark.skipif(eager, reason="each begins at once")
@on_instant_loop
async def test_jobs_that_are_dropped_never_begin() -> None:
    tasks, begun = BackgroundTasks(), []
    workers = Workers(tasks)

    async def job(name: str) -> None:
        begun.append(name)

    for name in "abc":
        workers.start(job(name), copy_context())
    workers.drop()
    assert await tasks.wait(60)
    workers.start(job("later"), copy_context())
    assert await tasks.wait(60)
    assert begun == ["later"]
    gc.collect()  # a coroutine that was never awaited would warn, and a warning is an error


@on_instant_loop
async def test_dropping_leaves_what_has_begun() -> None:
    tasks, notes = BackgroundTasks(), []
    workers = Workers(tasks)

    async def job() -> None:
        await asyncio.sleep(1)
        notes.append("ended")

    workers.start(job(), copy_context())
    await asyncio.sleep(0)
    workers.drop()
    assert await tasks.wait(60)
    assert notes == ["ended"]


async def test_a_closed_worker_closes_its_job() -> None:
    closed: list[str] = []

    @coroutine
    def forever() -> Any:
        while True:
            yield

    async def job() -> None:
        try:
            await forever()
        except GeneratorExit:
            closed.append("closed")
            raise

    class Kept(BackgroundTasks):
        """Keeps the workers instead of running them."""

        __slots__ = ("made",)

        def start(self, work: Coroutine[Any, Any, Any], name: str, what: str | None = None) -> Any:
            self.made = work

    tasks = Kept()
    Workers(tasks).start(job(), copy_context())
    tasks.made.send(None)
    tasks.made.close()
    assert closed == ["closed"]


async def test_many_jobs_that_wait_begin_within_few_turns() -> None:
    tasks = BackgroundTasks()
    workers = Workers(tasks)
    begun: list[int] = []

    async def job(number: int) -> None:
        begun.append(number)
        await asyncio.sleep(60)

    for number in range(50):
        workers.start(job(number), copy_context())
    for _ in range(3):
        await asyncio.sleep(0)
    assert begun == list(range(50))
    await tasks.cancel()


def test_a_job_that_can_not_be_started_leaves_nothing_behind() -> None:
    tasks = BackgroundTasks()
    workers = Workers(tasks)
    done: list[int] = []

    async def job(number: int) -> None:
        done.append(number)

    with pytest.raises(UsageError):
        workers.start(job(1), copy_context())  # there is no event loop; that it was never awaited would be an error

    async def main() -> None:
        workers.start(job(2), copy_context())
        assert await tasks.wait(60)

    run(main(), VirtualClockLoop)
    assert done == [2]
    assert not workers.waiting
