from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.token_bucket import TokenBucket


def test_it_is_full_at_first_and_fills_at_its_rate() -> None:
    bucket = TokenBucket(10, 5, now=100)
    assert bucket.available(100) == 5
    bucket.take(5)
    assert bucket.available(100) == 0
    assert bucket.delay() == pytest.approx(0.1)
    assert bucket.available(100.25) == 2
    assert bucket.available(200) == 5


def test_what_is_taken_on_credit_is_waited_for() -> None:
    bucket = TokenBucket(10, 1, now=0)
    bucket.take(21)
    assert bucket.available(1) == 0
    assert bucket.delay() == pytest.approx(1.1)
    assert bucket.available(2.1) == 1
    assert bucket.delay() == pytest.approx(0, abs=1e-6)


def test_it_holds_one_token_at_least() -> None:
    assert TokenBucket(0.1, 0.1, now=0).available(0) == 1


@given(st.floats(0.1, 1e6), st.integers(1, 1000), st.lists(st.floats(0, 10), max_size=50))
def test_no_more_is_let_through_than_the_rate_and_the_size_allow(rate: float, size: int, waits: list[float]) -> None:
    bucket, now, taken = TokenBucket(rate, size, now=0), 0.0, 0
    for wait in waits:
        now += wait
        count = bucket.available(now)
        bucket.take(count)
        taken += count
    assert taken <= (size + now * rate) * (1 + 1e-9) + 1e-3
