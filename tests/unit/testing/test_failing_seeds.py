from __future__ import annotations

import asyncio

import pytest

from crosswire.testing import Simulation, find_failing_seed


async def fails_above_seven(sim: Simulation) -> None:
    sim.trace.add("so far so good")
    await asyncio.sleep(1)
    assert sim.seed <= 7, "it is above"


def test_the_first_failing_seed_is_found_with_its_error_and_trace() -> None:
    failing = find_failing_seed(fails_above_seven, range(3, 20))
    assert failing is not None
    assert failing.seed == 8
    assert isinstance(failing.error, AssertionError)
    assert "so far so good" in str(failing)
    assert "seed 8: AssertionError: it is above" in str(failing)
    with pytest.raises(AssertionError, match="above"):
        Simulation(failing.seed).run(fails_above_seven)


def test_none_is_found_where_none_fails() -> None:
    assert find_failing_seed(fails_above_seven, range(8)) is None


def test_a_scenario_that_does_not_end_fails() -> None:
    async def endless(sim: Simulation) -> None:
        await sim.sleep(1000)

    failing = find_failing_seed(endless, range(1), time_limit=100)
    assert failing is not None
    assert isinstance(failing.error, TimeoutError)


def test_an_interruption_ends_the_search() -> None:
    async def interrupted(sim: Simulation) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_failing_seed(interrupted)
