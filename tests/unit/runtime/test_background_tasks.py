from __future__ import annotations

import asyncio
import logging

import pytest

from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.slow_handlers import SlowHandlerWatch
from tests.support.loops import on_instant_loop

pytestmark = on_instant_loop


async def fail() -> None:
    raise KeyError("reason")


async def fail_later() -> None:
    await asyncio.sleep(1)
    raise KeyError("reason")


@pytest.mark.parametrize("work", [fail, fail_later])
async def test_a_task_that_fails_is_logged_with_its_name(
    work: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    tasks = BackgroundTasks()
    tasks.start(work(), "crosswire something")  # type: ignore[arg-type]
    await tasks.wait(5)
    assert len(tasks) == 0
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("crosswire.tasks", logging.ERROR)
    assert record.getMessage() == "background task crosswire something failed"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], KeyError)


async def test_a_task_is_counted_until_it_ends() -> None:
    tasks, counts = BackgroundTasks(), []
    first = tasks.start(asyncio.sleep(1), "a")
    second = tasks.start(asyncio.sleep(2), "b")
    counts.append(len(tasks))
    await first
    await asyncio.sleep(0)
    counts.append(len(tasks))
    await second
    await asyncio.sleep(0)
    assert [*counts, len(tasks)] == [2, 1, 0]


async def test_a_task_has_its_name() -> None:
    tasks = BackgroundTasks()
    task = tasks.start(asyncio.sleep(1), "crosswire something")
    await task
    assert task.get_name() == "crosswire something"


async def test_waiting_includes_what_is_started_meanwhile() -> None:
    tasks = BackgroundTasks()

    async def first() -> None:
        await asyncio.sleep(1)
        tasks.start(asyncio.sleep(1), "second")

    began = asyncio.get_running_loop().time()
    tasks.start(first(), "first")
    ended = await tasks.wait(5)
    ended, seconds, left = ended, asyncio.get_running_loop().time() - began, len(tasks)
    assert (ended, left) == (True, 0)
    assert seconds == pytest.approx(2)


async def test_waiting_ends_with_its_timeout() -> None:
    tasks = BackgroundTasks()
    tasks.start(asyncio.sleep(60), "long")
    began = asyncio.get_running_loop().time()
    ended = await tasks.wait(2)
    waited, left = asyncio.get_running_loop().time() - began, len(tasks)
    await tasks.cancel()
    assert (ended, left) == (False, 1)
    assert waited == pytest.approx(2)


async def test_cancelling_waits_until_all_have_ended(caplog: pytest.LogCaptureFixture) -> None:
    tasks, ended = BackgroundTasks(), []

    async def clean_up() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(1)
            tasks.start(last_words(), "last words")
            ended.append("cleaned up")

    async def last_words() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("last words")

    task = tasks.start(clean_up(), "clean up")
    await asyncio.sleep(1)
    await tasks.cancel()
    assert task.cancelled()
    assert [*ended, str(len(tasks))] == ["cleaned up", "last words", "0"]
    assert caplog.records == []


async def test_a_task_that_waits_for_or_cancels_all_leaves_itself_out() -> None:
    tasks, results = BackgroundTasks(), []

    async def owner() -> None:
        results.append(await tasks.wait(5))
        await tasks.cancel()
        results.append(True)

    await tasks.start(owner(), "owner")
    assert results == [True, True]


async def test_a_task_that_ignores_its_cancellation_is_logged_and_left_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tasks, stop = BackgroundTasks(), asyncio.Event()

    async def stubborn() -> None:
        while not stop.is_set():
            try:
                await stop.wait()
            except asyncio.CancelledError:
                continue

    task = tasks.start(stubborn(), "stubborn")
    await asyncio.sleep(0)
    await asyncio.wait_for(tasks.cancel(), 60)
    assert not task.done()
    stop.set()
    await task
    assert "are left behind: stubborn" in caplog.text


@pytest.mark.parametrize("watch", [None, SlowHandlerWatch(1.0)])
async def test_a_task_that_is_cancelled_right_after_its_start_begins_and_cleans_up(
    watch: SlowHandlerWatch | None,
) -> None:
    tasks, told = BackgroundTasks(watch), list[str]()

    async def work() -> None:
        told.append("begun")
        try:
            await asyncio.sleep(1)
        finally:
            told.append("cleaned up")

    tasks.start(work(), "a", "what")
    await tasks.cancel()
    assert told == ["begun", "cleaned up"]


async def test_tasks_that_begin_others_while_they_clean_up_are_cancelled_with_them() -> None:
    tasks, ended = BackgroundTasks(), list[int]()

    async def work(number: int) -> None:
        try:
            await asyncio.sleep(1)
        finally:
            ended.append(number)
            if number < 5:
                tasks.start(work(number + 1), "another")

    tasks.start(work(1), "first")
    await tasks.cancel()
    assert ended == [1, 2, 3, 4, 5]
    assert len(tasks) == 0
