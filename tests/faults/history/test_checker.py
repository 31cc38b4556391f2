from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.history.checker import (
    Ended,
    Event,
    Finding,
    Heard,
    Place,
    Told,
    examine,
    heard_by_anybody,
    lie_about_forgotten,
    two_messages_at_one_place,
)

STREAM = 0
PUBLISHED = {STREAM: [float(number) for number in range(10)]}
FIRST = Told(-1, None, None, ("e", 0))


def heard(number: int, *, at: float | None = None, position: Place | str | None = "") -> Heard:
    """Return the arrival of a message half a second after it was said; its offset is its number plus one."""
    place = ("e", number + 1) if isinstance(position, str) else position
    return Heard(number + 0.5 if at is None else at, STREAM, number, place)


def recovered(at: float, offset: int) -> Told:
    return Told(at, True, None, ("e", offset))


def broken(at: float, offset: int, epoch: str = "e", reason: str = "trimmed") -> Told:
    return Told(at, False, reason, (epoch, offset))


def checked(*events: Event, died: set[tuple[int, int]] | None = None) -> Finding:
    return examine(PUBLISHED, [FIRST, *events], died or set())


def figures(finding: Finding) -> tuple[int, int, int, int, int, int]:
    """Return the missing messages, the lies, and how many came twice, again, late and from nobody."""
    counts = finding.twice, finding.again, finding.reordered, finding.unknown
    return (len(finding.missing), len(finding.lies), *counts)


FAULTLESS = (0, 0, 0, 0, 0, 0)


def test_all_in_order_is_faultless() -> None:
    finding = checked(*map(heard, range(10)))
    assert figures(finding) == FAULTLESS
    assert finding.heard == 10


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(1, 8))
def test_a_recovered_client_that_has_all_is_faultless(left: int, away: int) -> None:
    back = min(left + away, 9) + 0.2
    before, after = range(left), range(left, 10)
    finding = checked(
        *map(heard, before), Ended(left), recovered(back, left), *[heard(n, at=max(back, n + 0.5)) for n in after]
    )
    assert figures(finding) == FAULTLESS
    assert finding.recovered == 1


@settings(deadline=None)
@given(st.sets(st.integers(0, 9), min_size=1))
def test_what_a_connected_client_is_not_told_of_is_missing_and_a_lie(gone: set[int]) -> None:
    finding = checked(*[heard(n) for n in range(10) if n not in gone])
    assert finding.missing == {(STREAM, n) for n in gone}
    assert finding.lies


def test_a_message_that_is_missing_after_a_recovery_is_a_lie() -> None:
    finding = checked(*map(heard, range(3)), Ended(3), recovered(6.2, 3), *map(heard, range(4, 10)))
    assert finding.missing == {(STREAM, 3)}
    assert any("('e', 5) came after ('e', 3)" in lie for lie in finding.lies)


def test_a_missing_message_is_found_by_its_number_if_offsets_have_no_hole() -> None:
    others = [heard(n, position=("e", n)) for n in range(4, 10)]
    finding = checked(*map(heard, range(3)), Ended(3), recovered(6.2, 3), *others)
    assert finding.missing == {(STREAM, 3)}
    assert finding.lies == ["it was told nothing of (0, 3)"]


def test_a_recovery_from_a_position_that_the_client_did_not_have_is_a_lie() -> None:
    for told in (recovered(6.2, 5), Told(6.2, True, None, ("f", 3)), Told(6.2, True, None, None)):
        finding = checked(*map(heard, range(3)), Ended(3), told, *map(heard, range(3, 10)))
        assert any("recovered from" in lie for lie in finding.lies)


def test_the_hole_of_a_told_loss_ends_when_it_is_told() -> None:
    until_now: list[Event] = [*map(heard, range(3)), Ended(3), broken(6.2, 7)]
    assert figures(checked(*until_now, *map(heard, range(7, 10)))) == FAULTLESS
    finding = checked(*until_now, *map(heard, range(8, 10)))
    assert finding.missing == {(STREAM, 7)}
    assert len(finding.lies) == 2


def test_silence_after_a_told_loss_is_no_part_of_it() -> None:
    finding = checked(*map(heard, range(3)), Ended(3), broken(6.2, 7))
    assert finding.missing == {(STREAM, 7), (STREAM, 8), (STREAM, 9)}


def test_reasons_of_losses_are_counted() -> None:
    finding = checked(broken(9.5, 5), broken(9.6, 6), broken(9.7, 0, "f", "epoch"))
    assert finding.broken == {"trimmed": 2, "epoch": 1}


def test_a_new_epoch_must_be_told() -> None:
    before: list[Event] = [heard(n) for n in range(5)]
    after: list[Event] = [heard(n, position=("f", n - 4)) for n in range(5, 10)]
    assert figures(checked(*before, broken(4.9, 0, "f", "epoch"), *after)) == FAULTLESS
    assert any("another epoch" in lie for lie in checked(*before, *after).lies)


def test_a_last_message_of_an_epoch_that_is_over_may_come_before_its_end_is_told() -> None:
    late = heard(5, position=("f", 1))
    after = [heard(n, position=("g", n - 5)) for n in range(6, 10)]
    before = [*map(heard, range(5)), late]
    assert figures(checked(*before, broken(5.6, 0, "g", "epoch"), *after)) == FAULTLESS
    assert any("and it had heard" in lie for lie in checked(*before, Ended(5.6), recovered(5.7, 5), *after).lies)


def test_what_comes_again_came_twice() -> None:
    assert figures(checked(*map(heard, [0, 1, 1, *range(2, 10)]))) == (0, 0, 1, 0, 0, 0)
    back: list[Event] = [Ended(2), recovered(2.1, 2), heard(1, at=2.2), *map(heard, range(2, 10))]
    assert checked(heard(0), heard(1), *back).twice == 1


def test_what_comes_again_after_a_told_loss_is_counted_apart_unless_the_connection_is_the_same() -> None:
    rest = [*[heard(n, position=("f", n)) for n in range(1, 10)]]
    epoch = broken(2.1, 0, "f", "epoch")
    assert figures(checked(heard(0), heard(1), Ended(2), epoch, *rest)) == (0, 0, 0, 1, 0, 0)
    assert figures(checked(heard(0), heard(1), epoch, *rest)) == (0, 0, 1, 0, 0, 0)


def test_a_later_message_that_came_first_makes_the_other_reordered_and_not_missing() -> None:
    # By numbers alone, as while the log can't be reached.
    finding = checked(*[heard(n, position=None) for n in (0, 2, 1, *range(3, 10))])
    assert (finding.reordered, finding.missing) == (1, set())


def test_streams_must_come_in_the_order_of_the_log() -> None:
    published = {0: [1.0], 1: [2.0]}
    finding = examine(published, [FIRST, Heard(3, 1, 0, ("e", 2)), Heard(4, 0, 0, ("e", 1))])
    assert finding.reordered == 1


def test_what_is_missing_behind_a_message_without_a_position_may_be_told_later() -> None:
    before = [*map(heard, range(3)), heard(5, position=None)]
    after = [heard(n, position=("f", n - 5)) for n in range(6, 10)]
    assert figures(checked(*before, broken(5.8, 0, "f", "epoch"), *after)) == FAULTLESS
    never_told = checked(*before, *[heard(n, position=None) for n in range(6, 10)])
    assert never_told.missing == {(STREAM, 3), (STREAM, 4)}
    assert len(never_told.lies) == 1
    told_a_lie = checked(*before, Ended(5.7), recovered(5.8, 3), *[heard(n, position=None) for n in range(6, 10)])
    assert told_a_lie.missing == {(STREAM, 3), (STREAM, 4)}
    assert "it was recovered, and" in told_a_lie.lies[0]


def test_a_client_without_a_position_must_be_told_again_if_something_is_missing() -> None:
    limbo: list[Event] = [*map(heard, range(3)), Ended(3), Told(3.2, False, "unavailable", None), heard(4), heard(6)]
    after = [heard(n) for n in range(7, 10)]
    assert figures(checked(*limbo, broken(6.8, 7), *after)) == FAULTLESS
    assert checked(*limbo, *after).missing == {(STREAM, 5)}


def test_what_died_with_its_node_is_not_missing() -> None:
    finding = checked(*map(heard, range(8)), died={(STREAM, 8), (STREAM, 9)})
    assert figures(finding) == FAULTLESS


@pytest.mark.parametrize("number", [-1, 10])
def test_what_nobody_published_is_unknown(number: int) -> None:
    assert checked(*map(heard, range(10)), Heard(11, STREAM, number, None)).unknown == 1
    assert checked(*map(heard, range(10)), Heard(11, 7, 0, None)).unknown == 1


def test_a_client_that_was_in_the_room_is_not_told_that_it_is_there_for_the_first_time() -> None:
    finding = checked(*map(heard, range(10)), Ended(10), Told(11, None, None, ("e", 10)))
    assert len(finding.lies) == 1


def test_nothing_comes_before_the_client_is_told_of_the_room() -> None:
    assert examine(PUBLISHED, [heard(0), FIRST, *map(heard, range(1, 10))]).lies
    finding = checked(*map(heard, range(5)), Ended(5), heard(5), recovered(6, 6), *map(heard, range(6, 10)))
    assert any("before it was told" in lie for lie in finding.lies)


def test_a_client_that_was_away_while_a_log_was_lost_is_told_so_first() -> None:
    lost = broken(5.5, 0, "f", "epoch")
    before: list[Event] = [FIRST, Ended(1), recovered(2.1, 2), heard(2), Ended(2.9)]  # back just before it left
    assert lie_about_forgotten([*before, lost], 2.0, 5.0) is None
    assert lie_about_forgotten([*before, recovered(5.2, 3), lost], 2.0, 5.0) == "it was recovered, and the log is lost"
    assert lie_about_forgotten([*before, recovered(5.2, 3), lost], 2.0, inf) is None


def test_a_client_is_told_of_a_lost_log() -> None:
    told_before = [FIRST, broken(1.5, 0, "f", "epoch"), recovered(5.5, 0)]
    assert lie_about_forgotten(told_before, 2.0, inf) == "it was never told that the log is lost"


def test_one_position_has_one_message() -> None:
    one: list[Event] = [FIRST, heard(0)]
    other: list[Event] = [Heard(1, STREAM, 1, ("e", 1)), Heard(2, STREAM, 2, None)]
    assert two_messages_at_one_place([one, other]) == [("e", 1)]
    assert two_messages_at_one_place([one, one]) == []
    assert heard_by_anybody([one, other]) == {(STREAM, 0), (STREAM, 1), (STREAM, 2)}
