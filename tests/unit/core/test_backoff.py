from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.backoff import Backoff

seconds = st.floats(min_value=0, max_value=1e6, allow_nan=False)
backoffs = st.builds(Backoff, st.integers(0, 100), seconds, seconds)
attempts = st.integers(1, 10**6)


def test_the_fast_phase_is_followed_by_doubling_up_to_the_maximum() -> None:
    backoff = Backoff(fast_retries=3, fast_interval=3, max_interval=60)
    assert [backoff.bound(attempt) for attempt in range(1, 10)] == [3, 3, 3, 6, 12, 24, 48, 60, 60]


def test_without_a_fast_phase_the_first_attempt_is_doubled_already() -> None:
    assert Backoff(fast_retries=0, fast_interval=1, max_interval=120).bound(1) == 2


@pytest.mark.parametrize(("random", "delay"), [(0.0, 0.0), (0.5, 6.0), (0.999, 11.988)])
def test_jitter_is_full(random: float, delay: float) -> None:
    assert Backoff(3, 3, 120).delay(5, lambda: random) == pytest.approx(delay)


@given(backoffs, attempts, st.floats(0, 1, exclude_max=True))
def test_a_delay_is_never_negative_nor_over_its_bound(backoff: Backoff, attempt: int, random: float) -> None:
    assert 0 <= backoff.delay(attempt, lambda: random) <= backoff.bound(attempt) <= backoff.max_interval


@given(backoffs, attempts)
def test_bounds_never_shrink(backoff: Backoff, attempt: int) -> None:
    assert backoff.bound(attempt) <= backoff.bound(attempt + 1)
