from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.expiries import SLOT, ExpirySlots


def test_an_item_is_due_at_its_time_and_not_before() -> None:
    slots: ExpirySlots[str] = ExpirySlots()
    slots.add("early", 100.1)
    slots.add("late", 200.0)
    assert slots.take_due(100.0) == []
    assert slots.take_due(100.1 + SLOT) == ["early"]
    assert len(slots) == 1
    assert slots.take_due(5000.0) == ["late"]
    assert len(slots) == 0


def test_adding_an_item_again_moves_it() -> None:
    slots: ExpirySlots[str] = ExpirySlots()
    slots.add("a", 100.0)
    slots.add("a", 300.0)
    assert slots.take_due(200.0) == []
    assert slots.take_due(301.0) == ["a"]


def test_a_clock_that_is_set_back_loses_no_item() -> None:
    slots: ExpirySlots[str] = ExpirySlots()
    slots.add("far", 10_000.0)
    assert slots.take_due(5000.0) == []
    slots.add("near", 1000.0)
    assert slots.take_due(900.0) == []
    assert slots.take_due(1001.0) == ["near"]
    assert slots.take_due(10_001.0) == ["far"]


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1e6), st.booleans(), st.floats(0, 1e6)), max_size=60))
def test_whatever_the_clock_does_an_item_is_due_once_when_its_time_has_come(
    steps: list[tuple[int, float, bool, float]],
) -> None:
    slots: ExpirySlots[int] = ExpirySlots()
    model: dict[int, float] = {}
    for item, at, removes, now in steps:
        if removes:
            slots.discard(item)
            model.pop(item, None)
        else:
            slots.add(item, at)
            model[item] = at
        due = slots.take_due(now)
        assert len(due) == len(set(due))
        assert all(model[each] <= now for each in due)
        for each in due:
            del model[each]
        assert all(at > now - SLOT for at in model.values())
        assert len(slots) == len(model)
    assert slots.take_due(2e6) or not model
    assert not slots._slots
    assert not slots._number_of


def test_an_item_of_the_farthest_future_is_not_due() -> None:
    slots: ExpirySlots[str] = ExpirySlots()
    slots.add("never", 1.7e308)
    assert slots.take_due(10_000.0) == []
    assert len(slots) == 1
