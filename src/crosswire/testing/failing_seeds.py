"""The search for a seed that makes a scenario fail."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from crosswire.testing.simulation import TIME_LIMIT, Scenario, Simulation
from crosswire.testing.trace import Trace


@dataclass(frozen=True, slots=True)
class FailingSeed:
    """A seed with which a scenario fails.

    Attributes:
        seed: ``Simulation(seed).run(scenario)`` fails in the same way.
        error: what the scenario raised.
        trace: what happened, line by line.
    """

    seed: int
    error: Exception
    trace: Trace

    def __str__(self) -> str:
        return f"seed {self.seed}: {type(self.error).__name__}: {self.error}\n{self.trace.tail()}"


def find_failing_seed(
    scenario: Scenario[object], seeds: Iterable[int] = range(1000), *, time_limit: float = TIME_LIMIT
) -> FailingSeed | None:
    """Run a scenario with one seed after the other, and return the first that makes it fail; None if none does.

    Example::

        failing = find_failing_seed(scenario)
        assert failing is None, failing
    """
    for seed in seeds:
        simulation = Simulation(seed, time_limit=time_limit)
        try:
            simulation.run(scenario)
        except Exception as error:  # noqa: BLE001 - whatever the scenario and the application raise
            return FailingSeed(seed, error, simulation.trace)
    return None
