"""Short forms of the long runs: what they count must hold; what takes time is left to ``make soak``."""

from __future__ import annotations

from tests.soak import churn, clock_jump, cycles, netsplit, never_read, storm


async def test_nothing_is_left_of_connections_half_of_which_are_broken_off() -> None:
    outcome = await cycles.run(800, 60, growth=False)
    assert not outcome.problems
    assert outcome.figures[0].measured == "800 of 800"


async def test_subscriptions_equal_the_model_after_churn_and_killed_subscribers() -> None:
    outcome = await churn.run(3, 3)
    # How soon they do is a figure of the long run.
    assert not [problem for problem in outcome.problems if "seconds" not in problem]


async def test_both_sides_of_a_netsplit_go_on_and_agree_when_it_heals() -> None:
    outcome = await netsplit.run(1)
    assert not [problem for problem in outcome.problems if "seconds" not in problem]


async def test_a_clock_that_jumps_by_an_hour_takes_nobody_for_dead_and_replaces_the_older_login() -> None:
    outcome = await clock_jump.run(0.5, (clock_jump.HOUR, -clock_jump.HOUR))
    assert not [problem for problem in outcome.problems if "seconds" not in problem]


async def test_clients_that_never_read_are_dropped_and_hold_no_more_than_their_limits() -> None:
    outcome = await never_read.run(8, 16 * 1024 * 1024)
    # How long the calls of others take is a figure of the long run.
    assert not [problem for problem in outcome.problems if "p99" not in problem and "ratio" not in problem]


async def test_clients_that_come_back_at_once_are_all_recovered_with_two_reads_of_each_room_at_most() -> None:
    outcome = await storm.run(120, 12, 1)
    # How long the calls of others take is a figure of the long run.
    assert not [problem for problem in outcome.problems if "p99" not in problem]
