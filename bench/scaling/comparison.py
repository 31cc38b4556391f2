"""Runs of larger clusters beside what the model says of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import mean
from typing import NamedTuple

from bench.scaling.bus_bytes import BusBytes
from bench.scaling.model import Costs, bus_bytes, error, member_traffic, nodes_cost, redis_cost
from bench.scaling.runs import Cluster, Comparison, cluster, comparisons, measure_together


class Pair(NamedTuple):
    """What the model says, and what was measured."""

    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """The part of the measured value by which the prediction is off."""
        return error(self.predicted, self.measured)


class Compared(NamedTuple):
    """A run beside the model.

    Attributes:
        title: of the run.
        nodes: in the cluster.
        cpu: share of a core that all nodes use together, at the rate of the run.
        redis: the same of Redis.
        wire: bytes between nodes and Redis in a second, both ways.
        others: share of the servers' core that other work on the machine had.
    """

    title: str
    nodes: int
    cpu: Pair
    redis: Pair
    wire: Pair
    others: float


def compare(costs: Costs, nodes: int, seconds: float, runs: int) -> list[Compared]:
    """Run all comparisons of one size of the cluster some times; return of each the run in the middle."""
    with cluster(nodes) as running:
        results = [[_run(costs, running, each, seconds) for each in comparisons(nodes)] for _ in range(runs)]
    return [_middle(of_one) for of_one in zip(*results, strict=True)]


def _middle(runs: Sequence[Compared]) -> Compared:
    return sorted(runs, key=lambda each: each.cpu.error)[len(runs) // 2]


def _run(costs: Costs, running: Cluster, comparison: Comparison, seconds: float) -> Compared:
    loads = [load for load, _ in comparison.loads]
    bus = BusBytes(running.redis)
    measured = bus.during(partial(measure_together, running.serving, loads, seconds))
    said = [(each.per_second, message) for each, (_, message) in zip(measured, comparison.loads, strict=True)]
    nodes = sum(rate * nodes_cost(costs, message) for rate, message in said) / 1e6 + comparison.nodes * costs.idle
    redis = sum(rate * redis_cost(costs, message) for rate, message in said) / 1e6 + costs.redis_idle
    wire = sum(
        each.per_second * sum(bus_bytes(message, load.channel, each.size))
        for each, (load, message) in zip(measured, comparison.loads, strict=True)
    )
    membership = member_traffic(comparison.nodes)
    wire += costs.member_bytes * (membership.published + membership.forwarded)
    return Compared(
        comparison.title,
        comparison.nodes,
        Pair(nodes, mean(each.per_second * sum(each.nodes) / 1e6 for each in measured)),
        Pair(redis, mean(each.per_second * each.redis / 1e6 for each in measured)),
        Pair(wire, bus.per_second(seconds * 0.8)),
        max(each.others for each in measured),
    )
