from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.messages import MAX_CALL_ID
from crosswire.core.pending_calls import CallIds, PendingCalls, base36


@given(st.integers(min_value=0))
def test_base36_can_be_read_back(number: int) -> None:
    assert int(base36(number), 36) == number


def test_ids_are_short_and_never_repeat() -> None:
    ids = CallIds()
    made = [ids.next() for _ in range(10_000)]
    assert len(set(made)) == len(made)
    assert all(1 <= len(each) <= MAX_CALL_ID for each in made)


def test_an_answer_counts_once() -> None:
    calls: PendingCalls[str] = PendingCalls()
    calls.add("1", "waiter")
    assert calls.take("1") == "waiter"
    assert calls.take("1") is None


def test_an_answer_with_an_unknown_id_finds_no_call() -> None:
    calls: PendingCalls[str] = PendingCalls()
    calls.add("1", "waiter")
    assert calls.take("2") is None
    assert len(calls) == 1


@given(st.dictionaries(st.text(min_size=1), st.integers()))
def test_all_calls_are_taken_in_the_order_of_their_start(waiting: dict[str, int]) -> None:
    calls: PendingCalls[int] = PendingCalls()
    for call_id, waiter in waiting.items():
        calls.add(call_id, waiter)
    assert calls.take_all() == list(waiting.values())
    assert len(calls) == 0
    assert calls.take_all() == []
