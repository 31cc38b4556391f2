from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.throttle import Throttle


def test_a_burst_passes_and_the_rest_is_held_back() -> None:
    throttle = Throttle(burst=2, period=10)
    assert [throttle.admit("a", now) for now in (0, 1, 2, 9.9)] == [0, 0, None, None]


def test_a_new_period_tells_how_many_were_held_back() -> None:
    throttle = Throttle(burst=2, period=10)
    for now in range(5):
        throttle.admit("a", now)
    assert [throttle.admit("a", 10), throttle.admit("a", 11), throttle.admit("a", 12)] == [3, 0, None]


def test_a_quiet_period_held_nothing_back() -> None:
    throttle = Throttle(burst=2, period=10)
    throttle.admit("a", 0)
    assert throttle.admit("a", 100) == 0


def test_keys_do_not_share_a_burst() -> None:
    throttle = Throttle(burst=1, period=10)
    assert throttle.admit(("a", ValueError), 0) == 0
    assert throttle.admit(("a", TypeError), 0) == 0
    assert throttle.admit(("a", ValueError), 0) is None


@given(st.integers(1, 5), st.lists(st.floats(0, 3), max_size=60))
def test_every_line_is_counted(burst: int, pauses: list[float]) -> None:
    throttle = Throttle(burst, period=10)
    now, passed, told = 0.0, 0, 0
    for pause in pauses:
        now += pause
        if (held_back := throttle.admit("a", now)) is not None:
            passed, told = passed + 1, told + held_back
    last = throttle.admit("a", now + 100)
    assert last is not None
    assert passed + told + last == len(pauses)
