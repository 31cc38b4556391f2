from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.clock import HybridClock

_times = st.integers(0, 100)
_steps = st.lists(st.tuples(st.sampled_from(["stamp", "hear"]), _times, _times), max_size=50)


class Time:
    """Real time, as one machine has it: it may stand still, and jump back."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


@given(_steps)
def test_stamps_grow_and_are_later_than_all_that_was_heard(steps: list[tuple[str, int, int]]) -> None:
    time = Time()
    clock = HybridClock(time)
    largest = 0
    for step, now, stamp in steps:
        time.now = now
        if step == "hear":
            clock.heard(stamp)
            largest = max(largest, stamp)
        else:
            taken = clock.stamp()
            assert taken > largest
            assert taken >= now
            largest = taken


def test_stamps_are_real_time_where_nothing_speaks_against_it() -> None:
    time = Time()
    clock = HybridClock(time)
    stamps = []
    for now in (5, 9, 1_000_000):
        time.now = now
        stamps.append(clock.stamp())
    assert stamps == [5, 9, 1_000_000]


def test_of_two_nodes_that_heard_each_other_the_later_stamp_is_larger_though_the_clocks_disagree() -> None:
    fast, slow = Time(), Time()
    fast.now, slow.now = 1000, 10
    one, other = HybridClock(fast), HybridClock(slow)
    first = one.stamp()
    other.heard(first)
    second = other.stamp()
    one.heard(second)
    assert first < second < one.stamp()
