"""The short forms of the most telling faults of rooms with history; ``make faults`` runs the long ones of all."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.history.outcome import RoomOutcome
from tests.faults.history.run import run
from tests.faults.history.scenarios import SCENARIOS, SHORT
from tests.support import aio

CHOSEN = ("rooms-kill-server", "rooms-kill-redis", "rooms-older-dump")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RoomOutcome]:
    """Run the faults, each with a cluster of its own, at the same time."""
    scenarios = [scenario for scenario in SCENARIOS if scenario.name in CHOSEN]

    async def main() -> list[RoomOutcome]:
        return await asyncio.gather(*[run(each, SHORT, tmp_path_factory.mktemp(each.name)) for each in scenarios])

    return {outcome.scenario: outcome for outcome in aio.run(main())}


@pytest.mark.parametrize("name", CHOSEN)
def test_what_clients_of_rooms_with_history_are_told_under_faults_is_true(
    outcomes: dict[str, RoomOutcome], name: str
) -> None:
    outcome = outcomes[name]
    assert not outcome.problems, "\n".join([*outcome.problems, repr(outcome)])
