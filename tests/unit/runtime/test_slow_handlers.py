from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from crosswire.errors import ConfigError
from crosswire.runtime import environment
from crosswire.runtime.slow_handlers import SlowHandlerWatch, WatchedCoroutine, call_watched, slow_handler_watch

seconds = 0.0


def hold() -> None:
    """Let time pass on the clock that is read around each step."""
    global seconds  # the clock of all handlers of a test
    seconds += 0.03


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> SlowHandlerWatch:
    monkeypatch.setattr(environment, "monotonic", lambda: seconds)
    return SlowHandlerWatch(0.01)


@pytest.mark.parametrize("value", [0, -1, True, "0.1", float("nan"), [1]])
def test_an_invalid_number_of_seconds_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="slow_handler"):
        slow_handler_watch(value)


def test_none_switches_the_warnings_off() -> None:
    assert slow_handler_watch(None) is None
    assert call_watched(None, "x", lambda value: value, 5) == 5


def test_each_call_that_blocks_the_loop_is_logged_once_a_minute(
    watch: SlowHandlerWatch, caplog: pytest.LogCaptureFixture
) -> None:
    for what in ("x", "x", "y\n", "x"):
        call_watched(watch, what, hold)
        call_watched(watch, "quick", lambda: None)
    first, second = [record.getMessage() for record in caplog.records]
    assert "handler of 'x' held the event loop for 0.0" in first
    assert "'y\\n'" in second


def test_a_call_that_fails_is_warned_of_too(watch: SlowHandlerWatch, caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        hold()
        raise KeyError

    with pytest.raises(KeyError):
        call_watched(watch, "x", fails)
    assert "'x'" in caplog.text


async def first_step() -> str:
    hold()
    await asyncio.sleep(0)
    return "done"


async def later_step() -> str:
    await asyncio.sleep(0)
    hold()
    return "done"


async def step_with_an_exception() -> str:
    try:
        async with asyncio.timeout(0.001):
            await asyncio.sleep(60)
    except TimeoutError:
        hold()
    return "done"


async def waits_long() -> str:
    asyncio.get_running_loop().call_soon(hold)  # in the turn that this one waits for
    await asyncio.sleep(0)
    return "done"


def by_await(work: Any, watch: SlowHandlerWatch) -> Any:
    async def main() -> Any:
        return await WatchedCoroutine(work, "x", watch)

    return main()


def by_watched(work: Any, watch: SlowHandlerWatch) -> Any:
    return WatchedCoroutine(work, "x", watch)


@pytest.mark.parametrize("way", [by_await, by_watched])
@pytest.mark.parametrize(
    ("work", "slow"), [(first_step, True), (later_step, True), (step_with_an_exception, True), (waits_long, False)]
)
async def test_each_step_is_measured_without_its_waiting(
    way: Callable[[Any, SlowHandlerWatch], Any],
    work: Callable[[], Any],
    slow: bool,
    watch: SlowHandlerWatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert await asyncio.create_task(way(work(), watch)) == "done"
    assert bool(caplog.records) == slow


@pytest.mark.parametrize("way", [by_await, by_watched])
async def test_a_cancellation_reaches_the_measured_coroutine(
    way: Callable[[Any, SlowHandlerWatch], Any], watch: SlowHandlerWatch
) -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    task = asyncio.create_task(way(work(), watch))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert ended == ["cancelled"]


async def test_a_cancellation_before_the_first_step_leaves_no_coroutine_unawaited(watch: SlowHandlerWatch) -> None:
    task = asyncio.create_task(WatchedCoroutine(first_step(), "x", watch))
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


def test_the_caller_of_a_slow_handler_is_not_blamed(watch: SlowHandlerWatch, caplog: pytest.LogCaptureFixture) -> None:
    def calls_two() -> None:
        call_watched(watch, "x", hold)
        call_watched(watch, "y", hold)

    def calls_and_holds() -> None:
        calls_two()
        hold()

    call_watched(watch, "innocent", calls_two)
    call_watched(watch, "guilty", calls_and_holds)
    assert ["innocent" in caplog.text, "guilty" in caplog.text] == [False, True]
