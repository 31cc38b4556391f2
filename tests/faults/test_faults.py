"""The short forms of all faults; ``make faults`` runs the long ones."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.outcome import Outcome
from tests.faults.run import run
from tests.faults.scenarios import DELIVERIES, SCENARIOS, SHORT, Scenario
from tests.support import aio


@pytest.fixture(scope="module", params=SCENARIOS, ids=[scenario.name for scenario in SCENARIOS])
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Run a fault with each delivery, two clusters at a time, and return the outcomes."""
    scenario: Scenario = request.param
    directories = [tmp_path_factory.mktemp(f"{scenario.name}-{delivery}") for delivery in DELIVERIES]

    async def main() -> list[Outcome]:
        runs = [
            run(scenario, delivery, SHORT, scenario.short, directory)
            for delivery, directory in zip(DELIVERIES, directories, strict=True)
        ]
        return await asyncio.gather(*runs)

    return dict(zip(DELIVERIES, aio.run(main()), strict=True))


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_the_guarantees_hold_under_faults(outcomes: dict[str, Outcome], delivery: str) -> None:
    outcome = outcomes[delivery]
    assert not outcome.problems, "\n".join([*outcome.problems, repr(outcome)])
