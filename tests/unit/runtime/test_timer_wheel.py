from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosswire.runtime import environment
from crosswire.runtime.timer_wheel import TICK, TimerWheel
from tests.support.loops import on_instant_loop

pytestmark = on_instant_loop

delays = st.floats(0, 3, allow_nan=False) | st.integers(0, 30).map(lambda tenths: tenths / 10)


class RecordingTimer:
    """Notes when it is due."""

    def __init__(self, at: list[float]) -> None:
        self._at = at

    def on_timer(self) -> None:
        self._at.append(environment.monotonic())


@settings(max_examples=30)
@given(st.floats(0, 1), st.lists(delays, min_size=1, max_size=10))
async def test_timers_fire_in_time_and_never_early(phase: float, waits: list[float]) -> None:
    wheel = TimerWheel()
    expected = []
    for wait in waits:
        await asyncio.sleep(phase)
        at: list[float] = []
        wheel.add(RecordingTimer(at), wait)
        expected.append((environment.monotonic() + wait, at))
    await asyncio.sleep(10)
    for time, at in expected:
        (came,) = at
        assert -1e-9 <= came - time <= 2 * TICK + 1e-9


async def test_earlier_timers_fire_first() -> None:
    wheel, order = TimerWheel(), []
    for name, delay in (("c", 2.0), ("a", 0.5), ("d", 2.0), ("b", 1.0)):
        wheel.start(delay, lambda name=name: order.append(name))  # type: ignore[misc]
    await asyncio.sleep(5)
    assert order == ["a", "b", "c", "d"]


async def test_a_timer_that_is_cancelled_does_not_call(caplog: pytest.LogCaptureFixture) -> None:
    wheel, called = TimerWheel(), []
    timers = [wheel.start(1, lambda name=name: called.append(name)) for name in "abc"]  # type: ignore[misc]
    timers[1].cancel()
    await asyncio.sleep(5)
    timers[0].cancel()
    timers[1].cancel()
    assert called == ["a", "c"]
    assert caplog.records == []


async def test_a_timer_may_cancel_another_of_the_same_turn() -> None:
    wheel, called = TimerWheel(), []
    wheel.start(1, lambda: timer.cancel())
    timer = wheel.start(1, lambda: called.append("cancelled"))
    await asyncio.sleep(5)
    assert called == []


async def test_a_timer_may_add_itself_again() -> None:
    wheel = TimerWheel()
    at: list[float] = []
    began = environment.monotonic()

    def again() -> None:
        at.append(environment.monotonic() - began)
        if len(at) < 3:
            wheel.start(1, again)

    wheel.start(1, again)
    await asyncio.sleep(10)
    first, second, third = at
    assert 1 <= first <= second - 1 <= third - 2 <= 1.7


async def test_a_timer_that_is_due_again_at_once_does_not_block_the_turn() -> None:
    wheel, turns = TimerWheel(), 0

    def again() -> None:
        nonlocal turns
        turns += 1
        wheel.start(0, again)

    wheel.start(0, again)
    await asyncio.sleep(1)
    wheel.stop()
    assert 5 <= turns <= 11


@pytest.mark.parametrize("error", [KeyError("reason"), asyncio.CancelledError()])
async def test_a_failing_timer_is_logged_and_does_not_stop_the_others(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise error

    wheel, called = TimerWheel(), []
    wheel.start(1, fail)
    wheel.start(1, lambda: called.append("same turn"))
    wheel.start(2, lambda: called.append("later"))
    await asyncio.sleep(5)
    wheel.start(1, lambda: called.append("added afterwards"))
    await asyncio.sleep(5)
    assert called == ["same turn", "later", "added afterwards"]
    (record,) = caplog.records
    assert record.name == "crosswire.wheel"
    assert record.exc_info is not None
    assert record.exc_info[1] is error


async def test_a_late_turn_catches_up_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    wheel, order = TimerWheel(), []
    now = 50.0
    monkeypatch.setattr(environment, "monotonic", lambda: now)
    for name, delay in (("b", 3.0), ("a", 1.0), ("c", 100.0)):
        wheel.start(delay, lambda name=name: order.append(name))  # type: ignore[misc]
    now = 60.0
    await asyncio.sleep(TICK * 1.5)
    order.append("turned")
    now = 200.0
    await asyncio.sleep(TICK * 1.5)
    assert order == ["a", "b", "turned", "c"]


async def test_a_stopped_wheel_has_no_timers_and_can_be_used_again() -> None:
    wheel, called = TimerWheel(), []
    wheel.start(1, lambda: called.append("forgotten"))
    wheel.stop()
    wheel.stop()
    await asyncio.sleep(5)
    wheel.start(1, lambda: called.append("new"))
    await asyncio.sleep(5)
    assert called == ["new"]


async def test_an_empty_wheel_does_not_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, wheel = asyncio.get_running_loop(), TimerWheel()
    wheel.start(0.25, lambda: None)
    await asyncio.sleep(1)
    turns = 0

    def clock() -> float:
        nonlocal turns
        turns += 1
        return loop.time()

    monkeypatch.setattr(environment, "monotonic", clock)
    await asyncio.sleep(60)
    assert turns == 0


async def test_a_removed_target_is_forgotten_and_not_called() -> None:
    wheel, at = TimerWheel(), list[float]()
    note = RecordingTimer(at)
    slot = wheel.add(note, 1)
    reference = weakref.ref(note)
    slot.pop(note, None)
    slot.pop(note, None)
    del note
    gc.collect()
    assert reference() is None
    await asyncio.sleep(5)
    assert at == []


async def test_a_slot_that_is_kept_holds_no_target_that_was_called() -> None:
    wheel, at = TimerWheel(), list[float]()
    slot = wheel.add(RecordingTimer(at), 1)
    await asyncio.sleep(5)
    assert len(at) == 1
    assert not slot
