"""Runs a scenario."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.faults.cluster import Cluster
from tests.faults.outcome import Judge, Outcome
from tests.faults.scenarios import Length, Scenario


async def run(scenario: Scenario, delivery: str, length: Length, lasts: float, directory: Path) -> Outcome:
    """Run a scenario, and judge it.

    Args:
        scenario: what is done.
        delivery: of the nodes.
        length: of the run, and its size.
        lasts: seconds of the fault.
        directory: for what the processes write; an empty one.
    """
    outcome = Outcome(delivery, scenario.name, problems=[])
    async with Cluster(directory, delivery, length.workload, proxied=scenario.proxied) as cluster:
        await cluster.publish()
        await asyncio.sleep(length.before)
        began = time.time()
        await scenario.begin(cluster)
        await asyncio.sleep(lasts)
        await scenario.end(cluster)
        ended = time.time()
        await asyncio.sleep(length.after)
        await cluster.drain()
        lost = await cluster.finish()
    Judge(cluster, scenario, outcome, began, ended).judge(lost)
    return outcome
