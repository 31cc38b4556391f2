"""Runs a scenario with rooms that keep history."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.faults.circumstances import today
from tests.faults.history.cluster import RoomCluster
from tests.faults.history.outcome import RoomJudge, RoomOutcome, new_outcome
from tests.faults.history.scenarios import SHORT, Form, RoomScenario


async def run(scenario: RoomScenario, form: Form, directory: Path) -> RoomOutcome:
    """Run a scenario, and judge it.

    Args:
        scenario: what is done.
        form: length of the run, and its size.
        directory: for what the processes write; an empty one.
    """
    is_long = form is not SHORT
    outcome = new_outcome(scenario, today())
    cluster = RoomCluster(directory, form.workload, redis=scenario.redis, proxied=scenario.proxied)
    async with cluster:
        cluster.publish()
        cluster.roam(
            scenario.stay if is_long and scenario.stay is not None else form.stay,
            scenario.away if is_long and scenario.away is not None else form.away,
        )
        await asyncio.sleep(form.before)
        began = time.time()
        await scenario.act(cluster, scenario.long if is_long else scenario.short)
        await asyncio.sleep(form.after)
        outcome.problems += await cluster.drain()
        report = await cluster.finish()
    RoomJudge(cluster, scenario, outcome, began).judge(report, scenario.drops if is_long else 0)
    return outcome
