from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.client.retries import Retries, Retry, reconnects_unless_final
from crosswire.core.backoff import Backoff
from crosswire.types import FINAL_CLOSE_CODES, Close


def retries(limit: int | None = None, random: float = 0.5) -> Retries:
    return Retries(Backoff(2, 4, 20), limit, lambda: random)


def test_attempts_are_counted_and_delayed() -> None:
    some = retries()
    assert [some.next() for _ in range(5)] == [(1, 2), (2, 2), (3, 4), (4, 8), (5, 10)]


@given(st.integers(0, 20))
def test_there_are_as_many_attempts_as_the_limit_allows(limit: int) -> None:
    some = retries(limit)
    assert [retry.attempt for retry in iter(some.next, None)] == list(range(1, limit + 1))
    assert some.next() is None


def test_a_reset_counts_attempts_from_zero() -> None:
    some = retries(limit=1)
    assert some.next() == Retry(1, 2)
    assert some.next() is None
    some.reset()
    assert some.next() == Retry(1, 2)


def test_an_attempt_at_once_has_no_delay_and_no_limit() -> None:
    some = retries(limit=1)
    assert some.next(at_once=True) == Retry(1, 0)
    assert some.next() is None
    assert some.next(at_once=True) == Retry(2, 0)


@pytest.mark.parametrize("code", sorted(FINAL_CLOSE_CODES))
def test_the_default_policy_stays_away_after_a_final_code(code: int) -> None:
    assert not reconnects_unless_final(Close(code))


@given(st.integers(1000, 4999).filter(lambda code: code not in FINAL_CLOSE_CODES))
def test_the_default_policy_comes_back_after_any_other(code: int) -> None:
    assert reconnects_unless_final(Close(code, "reason"))
