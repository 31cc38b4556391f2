from __future__ import annotations

import asyncio
import logging

import pytest

from crosswire.runtime.tasks import Tasks
from tests.support.aio import run
from tests.support.clock import InstantLoop


async def fail() -> None:
    raise KeyError("reason")


async def fail_later() -> None:
    await asyncio.sleep(1)
    raise KeyError("reason")


@pytest.mark.parametrize("work", [fail, fail_later])
def test_a_task_that_fails_is_logged_with_its_name(work: type[Exception], caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> int:
        tasks = Tasks()
        tasks.start(work(), "crosswire something")  # type: ignore[arg-type]
        await tasks.wait(5)
        return len(tasks)

    assert run(main(), InstantLoop) == 0
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("crosswire.tasks", logging.ERROR)
    assert record.getMessage() == "background task crosswire something failed"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], KeyError)


def test_a_task_is_counted_until_it_ends() -> None:
    async def main() -> list[int]:
        tasks, counts = Tasks(), []
        first = tasks.start(asyncio.sleep(1), "a")
        second = tasks.start(asyncio.sleep(2), "b")
        counts.append(len(tasks))
        await first
        await asyncio.sleep(0)
        counts.append(len(tasks))
        await second
        await asyncio.sleep(0)
        return [*counts, len(tasks)]

    assert run(main(), InstantLoop) == [2, 1, 0]


def test_a_task_has_its_name() -> None:
    async def main() -> str:
        tasks = Tasks()
        task = tasks.start(asyncio.sleep(1), "crosswire something")
        await task
        return task.get_name()

    assert run(main(), InstantLoop) == "crosswire something"


def test_waiting_includes_what_is_started_meanwhile() -> None:
    async def main() -> tuple[bool, float, int]:
        tasks = Tasks()

        async def first() -> None:
            await asyncio.sleep(1)
            tasks.start(asyncio.sleep(1), "second")

        began = asyncio.get_running_loop().time()
        tasks.start(first(), "first")
        ended = await tasks.wait(5)
        return ended, asyncio.get_running_loop().time() - began, len(tasks)

    ended, seconds, left = run(main(), InstantLoop)
    assert (ended, left) == (True, 0)
    assert seconds == pytest.approx(2)


def test_waiting_gives_up_at_its_time() -> None:
    async def main() -> tuple[bool, float, int]:
        tasks = Tasks()
        tasks.start(asyncio.sleep(60), "long")
        began = asyncio.get_running_loop().time()
        ended = await tasks.wait(2)
        waited, left = asyncio.get_running_loop().time() - began, len(tasks)
        await tasks.cancel()
        return ended, waited, left

    ended, waited, left = run(main(), InstantLoop)
    assert (ended, left) == (False, 1)
    assert waited == pytest.approx(2)


def test_cancelling_waits_until_all_have_ended(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> list[str]:
        tasks, ended = Tasks(), []

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
        return [*ended, str(len(tasks))]

    assert run(main(), InstantLoop) == ["cleaned up", "last words", "0"]
    assert caplog.records == []


def test_a_task_that_waits_for_or_cancels_all_does_not_mean_itself() -> None:
    async def main() -> list[bool]:
        tasks, results = Tasks(), []

        async def owner() -> None:
            results.append(await tasks.wait(5))
            await tasks.cancel()
            results.append(True)

        await tasks.start(owner(), "owner")
        return results

    assert run(main(), InstantLoop) == [True, True]


def test_a_task_that_swallows_its_cancellation_is_told_of_and_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        tasks, stop = Tasks(), asyncio.Event()

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

    run(main(), InstantLoop)
    assert "are left behind: stubborn" in caplog.text
