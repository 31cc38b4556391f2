"""Runs of larger clusters beside what the model says of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import mean
from typing import NamedTuple

from bench.scaling.bus_bytes import BusBytes
from bench.scaling.model import Costs, bus_bytes, error, member_traffic, nodes_cost, redis_cost
from bench.scaling.runs import Cluster, Comparison, Measured, cluster, comparisons, measure_together


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


class Observed(NamedTuple):
    """What was seen of a run.

    Attributes:
        comparison: what was run.
        measured: of each of its loads.
        wire: bytes between nodes and Redis in a second.
    """

    comparison: Comparison
    measured: list[Measured]
    wire: float


def observe(nodes: int, seconds: float) -> list[Observed]:
    """Run all comparisons of one size of the cluster once."""
    with cluster(nodes) as running:
        return [_observe(running, each, seconds) for each in comparisons(nodes)]


def compare(costs: Costs, runs: Sequence[Observed]) -> Compared:
    """Return the one in the middle of some runs of the same kind beside what the model says of it."""
    results = sorted((_compared(costs, each) for each in runs), key=lambda each: each.cpu.error)
    return results[len(results) // 2]


def _observe(running: Cluster, comparison: Comparison, seconds: float) -> Observed:
    loads = [load for load, _ in comparison.loads]
    bus = BusBytes(running.redis)
    measured = bus.during(partial(measure_together, running.serving, loads, seconds))
    return Observed(comparison, measured, bus.per_second(seconds * 0.8))


def _compared(costs: Costs, observed: Observed) -> Compared:
    comparison, measured = observed.comparison, observed.measured
    said = [
        (each.per_second, message, load, each.size)
        for each, (load, message) in zip(measured, comparison.loads, strict=True)
    ]
    nodes = sum(rate * nodes_cost(costs, message) for rate, message, _, _ in said) / 1e6
    redis = sum(rate * redis_cost(costs, message) for rate, message, _, _ in said) / 1e6
    wire = sum(rate * sum(bus_bytes(message, load.channel, size)) for rate, message, load, size in said)
    membership = member_traffic(comparison.nodes)
    return Compared(
        comparison.title,
        comparison.nodes,
        Pair(nodes + comparison.nodes * costs.idle, mean(each.per_second * sum(each.nodes) / 1e6 for each in measured)),
        Pair(redis + costs.redis_idle, mean(each.per_second * each.redis / 1e6 for each in measured)),
        Pair(wire + costs.member_bytes * (membership.published + membership.forwarded), observed.wire),
        max(each.others for each in measured),
    )
