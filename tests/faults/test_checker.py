from __future__ import annotations

from math import inf

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.faults.checker import Delays, Finding, Gap, Missing, delays, examine, is_signalled, is_tail

COUNTS = st.integers(0, 30)
# A short standstill of the machine is not a failure.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def published(count: int) -> list[float]:
    return [100.0 + number for number in range(count)]


def examined(count: int, numbers: list[int]) -> Finding:
    return examine(published(count), numbers, [200.0 + number for number in range(len(numbers))])


@unhurried
@given(COUNTS)
def test_all_in_order_is_faultless(count: int) -> None:
    assert examined(count, list(range(count))) == Finding([], 0, 0, 0)


@unhurried
@given(st.sets(st.integers(0, 29)))
def test_every_message_that_did_not_come_is_missing_once(came: set[int]) -> None:
    finding = examined(30, sorted(came))
    gone = [number for each in finding.missing for number in range(each.first, each.first + each.size)]
    assert gone == sorted(set(range(30)) - came)
    assert finding.lost == 30 - len(came)
    assert (finding.duplicated, finding.reordered, finding.unknown) == (0, 0, 0)


@unhurried
@given(st.permutations(range(10)))
def test_a_message_is_reordered_if_a_later_one_came_before_it(numbers: list[int]) -> None:
    behind = sum(any(other > number for other in numbers[:place]) for place, number in enumerate(numbers))
    assert examined(10, numbers) == Finding([], 0, behind, 0)


@unhurried
@given(st.lists(st.integers(0, 9)))
def test_a_message_that_comes_again_is_only_a_duplicate(numbers: list[int]) -> None:
    finding = examined(10, numbers)
    assert finding.duplicated == len(numbers) - len(set(numbers))
    assert finding.lost == 10 - len(set(numbers))


def test_a_late_duplicate_is_not_counted_as_reordered() -> None:
    assert examined(3, [0, 1, 2, 0]) == Finding([], 1, 0, 0)


def test_what_nobody_published_is_unknown() -> None:
    assert examined(2, [0, 1, 2]) == Finding([], 0, 0, 1)


def test_a_loss_lasts_from_the_first_missing_message_to_the_next_arrival() -> None:
    assert examined(6, [0, 3, 4]).missing == [
        Missing(first=1, size=2, since=101, last=102, until=201),
        Missing(first=5, size=1, since=105, last=105, until=inf),
    ]


@pytest.mark.parametrize(
    ("gap", "told"),
    [
        (Gap(90, 99), False),
        (Gap(90, 101), True),
        (Gap(102, 103), True),
        (Gap(104, 110), True),
        (Gap(106, 110), False),
    ],
)
def test_a_gap_covers_what_is_missing_if_they_overlap(gap: Gap, told: bool) -> None:
    assert is_signalled(Missing(0, 1, 100, 100, 105), [gap], margin=0.5) is told


def test_without_a_gap_no_loss_is_reported() -> None:
    assert not is_signalled(Missing(0, 1, 100, 100, inf), [])


def test_the_margin_of_the_clocks_applies_on_both_sides() -> None:
    missing = Missing(0, 1, 100, 100, 105)
    assert is_signalled(missing, [Gap(90, 99.5)], margin=0.5)
    assert is_signalled(missing, [Gap(105.5, 106)], margin=0.5)


def test_only_the_end_of_a_stream_dies_with_its_node() -> None:
    assert is_tail(Missing(5, 2, 100, 101, inf), end=101, margin=2)
    assert not is_tail(Missing(5, 2, 98, 101, inf), end=101, margin=2)
    assert not is_tail(Missing(5, 2, 100, 101, 102), end=101, margin=2)


def test_messages_that_took_too_long_are_late() -> None:
    assert delays(published(4), [0, 1, 2, 3], [100.5, 103, 104.5, 103.5], late=1) == Delays(2.5, 102)
    assert delays(published(2), [0, 1], [101, 102], late=1) == Delays(1, -inf)
    assert delays([], [], [], late=1) == Delays(0, -inf)
