"""Runs of larger clusters beside what the model says of them."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from bench.scaling.bus_bytes import BytesOfRun
from bench.scaling.model import Costs, bus_bytes, error, member_traffic, probe_bytes, shares
from bench.scaling.runs import Measured, Observed, Trial, rates_of, used_in

GOOD = 0.15
"""Part of a measured value by which a prediction may be off."""


class Pair(NamedTuple):
    """What the model says, and what was measured."""

    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """The part of the measured value by which the prediction is off."""
        return error(self.predicted, self.measured)


class Compared(NamedTuple):
    """Runs of a trial beside the model, of each part the one in the middle.

    Attributes:
        title: of the trial.
        nodes: in the cluster.
        cpu: share of a core that all nodes use together, at the rate of the run.
        redis: the same of Redis.
        wire: bytes between nodes and Redis, both ways, for each PUBLISH.
        others: share of the servers' core that other work on the machine had, in the median.
        cpu_runs: of each run, what the nodes used for each second that the model says.
        redis_runs: the same of Redis.
    """

    title: str
    nodes: int
    cpu: Pair
    redis: Pair
    wire: Pair
    others: float
    cpu_runs: list[float]
    redis_runs: list[float]


def compare(costs: Costs, observed: Observed, wire: BytesOfRun) -> Compared:
    """Return what was measured beside what the model says of it.

    Args:
        costs: the parameters of the model.
        observed: the runs.
        wire: what went over the bus in another run of the same kind.
    """
    trial = observed.trial
    pairs = [_cpu(costs, trial, run) for run in observed.runs]
    return Compared(
        trial.title,
        trial.nodes,
        _middle([nodes for nodes, _ in pairs]),
        _middle([redis for _, redis in pairs]),
        Pair(_wire(costs, trial, wire), wire.counted.size),
        median(max(each.others for each in run) for run in observed.runs),
        [nodes.measured / nodes.predicted for nodes, _ in pairs],
        [redis.measured / redis.predicted for _, redis in pairs],
    )


def _cpu(costs: Costs, trial: Trial, run: Sequence[Measured]) -> tuple[Pair, Pair]:
    predicted, measured = shares(costs, trial.nodes, rates_of(trial, run)), used_in(run)
    return Pair(predicted.nodes, measured.nodes), Pair(predicted.redis, measured.redis)


def _wire(costs: Costs, trial: Trial, wire: BytesOfRun) -> float:
    """Return the bytes for each PUBLISH of a run: of messages, in the proportions of that run, and of beats."""
    membership, published = member_traffic(trial.nodes), wire.counted.per_second
    sizes = [
        sum(bus_bytes(message, load.channel, each.size))
        for each, (load, message) in zip(wire.said, trial.loads, strict=True)
    ]
    said = sum(each.per_second * size for each, size in zip(wire.said, sizes, strict=True))
    of_message = said / sum(each.per_second for each in wire.said)
    of_members = costs.member_bytes * (membership.published + membership.forwarded)
    of_probes = membership.probes * probe_bytes()
    messages = published - membership.published - membership.probes
    return (messages * of_message + of_members + of_probes) / published


def _middle(pairs: Sequence[Pair]) -> Pair:
    return sorted(pairs, key=lambda pair: pair.error)[len(pairs) // 2]


class Verdict(NamedTuple):
    """How good the predictions are.

    Attributes:
        total: number of predictions.
        good: those that are off by 15% at most.
        cpu: by which part the CPU of the nodes is off at most.
        redis: the same of Redis.
        wire: the same of the bytes.
    """

    total: int
    good: int
    cpu: float
    redis: float
    wire: float


def verdict(compared: Sequence[Compared]) -> Verdict:
    """Say how good the predictions are."""
    errors = [[abs(pair.error) for pair in (each.cpu, each.redis, each.wire)] for each in compared]
    flat = [value for row in errors for value in row]
    return Verdict(len(flat), sum(value <= GOOD for value in flat), *map(max, zip(*errors, strict=True)))


class Repetition(NamedTuple):
    """How well runs predict their own repetition: nine of ten do it better.

    Attributes:
        run: by which part a run differs from the median of its kind.
        half: by which part the medians of every other run and of the rest differ.
    """

    run: float
    half: float


def repetition(kinds: Sequence[Sequence[float]]) -> Repetition:
    """Compare runs with others of their kind.

    Args:
        kinds: a figure of all runs of each kind.
    """
    runs = [abs(error(value, median(values))) for values in kinds for value in values]
    halves = [abs(error(median(values[::2]), median(values[1::2]))) for values in kinds]
    return Repetition(_ninth_of_ten(runs), _ninth_of_ten(halves))


def _ninth_of_ten(values: Sequence[float]) -> float:
    return sorted(values)[(len(values) - 1) * 9 // 10]
