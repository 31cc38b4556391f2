from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.clock import MAX_DRIFT, HybridClock

_times = st.integers(0, 100)
_steps = st.lists(st.tuples(st.sampled_from(["stamp", "hear"]), _times, _times), max_size=50)


class FakeTime:
    """Real time, as one machine has it: it may stand still, and jump back."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


@given(_steps)
def test_stamps_grow_and_are_later_than_all_received_stamps(steps: list[tuple[str, int, int]]) -> None:
    time = FakeTime()
    clock = HybridClock(time)
    largest = 0
    for step, now, stamp in steps:
        time.now = now
        if step == "hear":
            clock.update(stamp)
            largest = max(largest, stamp)
        else:
            taken = clock.stamp()
            assert taken > largest
            assert taken >= now
            largest = taken


def test_stamps_are_real_time_unless_a_received_stamp_is_later() -> None:
    time = FakeTime()
    clock = HybridClock(time)
    stamps = []
    for now in (5, 9, 1_000_000):
        time.now = now
        stamps.append(clock.stamp())
    assert stamps == [5, 9, 1_000_000]


def test_of_two_nodes_that_heard_each_other_the_later_stamp_is_larger_though_the_clocks_disagree() -> None:
    fast, slow = FakeTime(), FakeTime()
    fast.now, slow.now = 1000, 10
    one, other = HybridClock(fast), HybridClock(slow)
    first = one.stamp()
    other.update(first)
    second = other.stamp()
    one.update(second)
    assert first < second < one.stamp()


SECOND = 1_000_000


@pytest.mark.parametrize("ahead", [SECOND, 30 * SECOND, MAX_DRIFT])
def test_clocks_that_are_seconds_apart_agree_on_what_came_later(ahead: int) -> None:
    now, wrong = FakeTime(), FakeTime()
    now.now, wrong.now = 10**15, 10**15 + ahead
    one, other = HybridClock(now), HybridClock(wrong)
    first = other.stamp()
    assert one.update(first)
    second = one.stamp()
    assert other.update(second)
    assert first < second < other.stamp()


@pytest.mark.parametrize("ahead", [MAX_DRIFT + 1, 3600 * SECOND, 2**63])
def test_a_stamp_that_is_too_far_ahead_moves_no_clock(ahead: int) -> None:
    time = FakeTime()
    time.now = 10**15
    clock = HybridClock(time)
    assert not clock.update(10**15 + ahead)
    assert clock.stamp() == 10**15


def test_a_stamp_from_long_ago_is_accepted() -> None:
    time = FakeTime()
    time.now = 10**15
    clock = HybridClock(time)
    assert clock.update(0)
    assert clock.stamp() == 10**15


def test_nodes_that_hear_each_other_do_not_push_a_clock_on_beyond_the_limit() -> None:
    time = FakeTime()
    time.now = 10**15
    clocks = [HybridClock(time) for _ in range(3)]
    for turn in range(100):
        stamp = clocks[turn % 3].stamp() + MAX_DRIFT // 2
        for clock in clocks:
            clock.update(stamp)
    assert all(clock.stamp() <= 10**15 + MAX_DRIFT + 1 for clock in clocks)


class JumpingClock:
    """A machine's clock that can be set, and one that can't."""

    def __init__(self, hours_ahead: int = 0) -> None:
        self.steady = 5
        self.real = 1_000_000 * HOUR + hours_ahead * HOUR

    def pass_seconds(self, seconds: int) -> None:
        self.steady += seconds * 1_000_000
        self.real += seconds * 1_000_000

    def make(self) -> HybridClock:
        return HybridClock(lambda: self.real, lambda: self.steady)


HOUR = 3600 * 1_000_000


@pytest.mark.parametrize("hours", [1, -1, 24])
def test_a_clock_that_is_set_wrongly_is_not_followed_while_others_know_better(hours: int) -> None:
    machine, other = JumpingClock(), JumpingClock()
    clock = machine.make()
    before = clock.stamp()
    machine.real += hours * HOUR
    for _ in range(10):
        machine.pass_seconds(10)
        other.pass_seconds(10)
        assert clock.update(other.real)
        assert before < clock.stamp() <= other.real + 20
    machine.real -= hours * HOUR  # and set back
    other.pass_seconds(10)
    machine.pass_seconds(10)
    assert clock.update(other.real)
    assert abs(clock.stamp() - other.real) < 20


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_was_wrong_from_the_start_is_followed_when_it_is_set_right(hours: int) -> None:
    machine, other = JumpingClock(hours), JumpingClock()
    clock = machine.make()
    assert abs(clock.stamp() - machine.real) < 20
    clock.update(other.real)
    machine.real -= hours * HOUR
    clock.update(other.real)
    assert abs(clock.stamp() - other.real) < 20
    other.pass_seconds(10)
    machine.pass_seconds(10)
    assert clock.update(other.real)
    assert abs(clock.stamp() - other.real) < 20


def test_small_corrections_of_a_clock_are_followed() -> None:
    machine = JumpingClock()
    clock = machine.make()
    for _ in range(100):
        machine.pass_seconds(60)
        machine.real += MAX_DRIFT // 2
        assert clock.stamp() == machine.real


def test_stamps_grow_while_the_clock_is_set_to_and_fro() -> None:
    machine = JumpingClock()
    clock = machine.make()
    stamps = []
    for hours in (1, -2, 1, 5, -5):
        machine.real += hours * HOUR
        machine.pass_seconds(1)
        stamps += [clock.stamp(), clock.stamp()]
    assert stamps == sorted(set(stamps))
