from __future__ import annotations

import pytest

from crosswire.core.freshness import MAX_AGE, MAX_DRIFT, REMEMBERED_FOR, Freshness

MEMBER, STRANGER = b"member..", b"stranger"
HOUR = 3600.0


@pytest.mark.parametrize("ahead", [-HOUR, 0.0, HOUR])
def test_a_member_is_judged_by_its_own_clock(ahead: float) -> None:
    fresh, wall = Freshness(), 1_000_000.0
    fresh.came(MEMBER, 100)
    fresh.heard(MEMBER, 100 + ahead, 100)
    assert fresh.is_new(MEMBER, 151 + ahead, 150, 200, wall)
    assert not fresh.is_new(MEMBER, 149 + ahead, 150, 200, wall)
    assert fresh.is_new(MEMBER, 150 + ahead - MAX_DRIFT / 2, 150, 200, wall)


def test_a_delayed_or_replayed_message_does_not_change_the_clock_of_a_member() -> None:
    fresh = Freshness()
    fresh.came(MEMBER, 100)
    fresh.heard(MEMBER, 100, 100)
    fresh.heard(MEMBER, 50, 110)
    assert not fresh.is_new(MEMBER, 119, 120, 121, 0)


def test_the_clock_of_a_member_is_known_however_many_others_are_heard() -> None:
    fresh, ahead = Freshness(), HOUR
    fresh.came(MEMBER, 0)
    fresh.heard(MEMBER, ahead, 0)
    for number in range(10_000):
        if number % 1000 == 0:
            fresh.heard(MEMBER, number + ahead, number)
        fresh.heard(b"%08d" % number, number, number)
    assert fresh.is_new(MEMBER, 10_000 + ahead, 10_000, 10_000, 10_000)


def test_a_clock_that_runs_more_slowly_is_followed() -> None:
    fresh = Freshness()
    fresh.came(MEMBER, 0)
    for second in range(10_000):
        fresh.heard(MEMBER, second * 0.9999, second)
    assert fresh.is_new(MEMBER, 10_000 * 0.9999, 10_000, 10_000, 0)


def test_a_stranger_must_have_the_right_time() -> None:
    fresh, opened, now, wall = Freshness(), 100.0, 1000.0, 50_000.0
    assert fresh.is_new(STRANGER, wall, opened, now, wall)
    assert fresh.is_new(STRANGER, wall - MAX_AGE, opened, now, wall)
    assert fresh.is_new(STRANGER, wall + MAX_AGE, opened, now, wall)
    assert not fresh.is_new(STRANGER, wall - MAX_AGE - 1, opened, now, wall)
    assert not fresh.is_new(STRANGER, wall + MAX_AGE + 1, opened, now, wall)
    assert not fresh.is_new(STRANGER, wall - 2, now - 1, now, wall)  # before this node listened


def test_a_member_that_is_gone_is_refused_until_it_is_back() -> None:
    fresh, wall = Freshness(), 50_000.0
    fresh.came(MEMBER, 0)
    fresh.went(MEMBER, 10)
    assert not fresh.is_new(MEMBER, wall, 0, 11, wall)
    fresh.came(MEMBER, 11)
    assert fresh.is_new(MEMBER, wall, 0, 11, wall)


@pytest.mark.parametrize("others", [0, 1])
def test_what_a_member_sent_before_it_was_gone_is_old_when_it_is_back(others: int) -> None:
    fresh, opened, ahead = Freshness(), 0.0, HOUR
    fresh.came(MEMBER, 1)
    fresh.heard(MEMBER, 500 + ahead, 500)
    fresh.went(MEMBER, 1000)
    for _ in range(others):
        fresh.went(STRANGER, 1001 + REMEMBERED_FOR)  # the member is no longer among those that have gone
    now = 1002 + REMEMBERED_FOR
    fresh.heard(MEMBER, now + ahead, now)
    fresh.came(MEMBER, now)
    assert not fresh.is_new(MEMBER, 900 + ahead, opened, now + 1, 0)
    assert fresh.is_new(MEMBER, now + ahead, opened, now + 1, 0)


def test_the_numbers_of_a_closed_channel_are_remembered_for_a_while() -> None:
    fresh = Freshness()
    fresh.closed(b"c", {MEMBER: 5}, 10)
    assert fresh.reopened(b"c", 10 + REMEMBERED_FOR) == {MEMBER: 5}
    assert fresh.reopened(b"c", 10) == {}
    fresh.closed(b"c", {MEMBER: 5}, 10)
    assert fresh.reopened(b"c", 11 + REMEMBERED_FOR) == {}
