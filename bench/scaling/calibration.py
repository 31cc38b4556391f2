"""The parameters of the model, from runs of one and two nodes and of a Redis alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.scaling.model import Costs, Message, Shares, fit, member_traffic, met_a_second, redis_member_cost, shares
from bench.scaling.processes import cpu_of
from bench.scaling.redis_loop import JOINED, publish_costs
from bench.scaling.runs import Cluster, Measured, Observed, Trial, rates_of, used_in


class RedisCosts(NamedTuple):
    """What a PUBLISH costs a Redis that has a core for itself, in microseconds.

    Attributes:
        publish: without receivers.
        forward: for each of them.
        publish_joined: the same, with several in one write.
        forward_joined: the same.
    """

    publish: float
    forward: float
    publish_joined: float
    forward_joined: float


def measure_redis(binary: str | Path, seconds: float) -> RedisCosts:
    """Measure a Redis alone."""
    return RedisCosts(*publish_costs(binary, seconds), *publish_costs(binary, seconds, JOINED))


def measure_idle(clusters: Mapping[int, Cluster], seconds: float) -> dict[int, Shares]:
    """Return which shares of a core the nodes of each cluster, and its Redis, use while nothing is said."""
    began = time.monotonic()
    before = {nodes: _cpu_of_all(each) for nodes, each in clusters.items()}
    time.sleep(seconds)
    after = {nodes: _cpu_of_all(each) for nodes, each in clusters.items()}
    passed = time.monotonic() - began
    used = {nodes: [(b - a) / passed for a, b in zip(before[nodes], after[nodes], strict=True)] for nodes in clusters}
    return {nodes: Shares(sum(of_nodes), redis) for nodes, (redis, *of_nodes) in used.items()}


def _cpu_of_all(running: Cluster) -> list[float]:
    return [cpu_of(pid) for pid in running.serving.pids]


class Point(NamedTuple):
    """What a message cost all nodes, and Redis, without what they use while nothing is said; in microseconds."""

    message: Message
    nodes: float
    redis: float


def with_meetings(costs: Costs, observed: Sequence[Observed], meeting: float) -> Costs:
    """Find what is spared where messages of two loads meet.

    Args:
        costs: what messages cost that travel alone.
        observed: runs with two loads at the same time.
        meeting: part of the messages of the rarer load that meet one of the other.
    """
    costs = replace(costs, meeting=meeting)
    runs = [(each.trial, run) for each in observed for run in each.runs]
    costs = replace(costs, met_nodes=median(_spared(costs, *each).nodes for each in runs))
    return replace(costs, met_redis=median(_spared(costs, *each).redis for each in runs))


def _spared(costs: Costs, trial: Trial, run: Sequence[Measured]) -> Shares:
    """Return the microseconds that were spared for each message that met another."""
    rates = rates_of(trial, run)
    predicted, measured, met = shares(costs, trial.nodes, rates), used_in(run), met_a_second(costs, rates)
    return Shares((predicted.nodes - measured.nodes) * 1e6 / met, (predicted.redis - measured.redis) * 1e6 / met)


def costs_of(observed: Sequence[Observed], idle: Mapping[int, Shares], member_bytes: float) -> Costs:
    """Fit the costs to small runs.

    Args:
        observed: runs of one node and of two.
        idle: what both use while nothing is said.
        member_bytes: bytes of a message about membership.
    """
    points = [_point(each, idle[each.trial.nodes]) for each in observed]
    rooms, told = (
        [each for each in points if not each.message.to_user],
        [each for each in points if each.message.to_user],
    )
    say, receive, deliver = fit(
        [((1, each.message.listening - 1, each.message.deliveries), each.nodes) for each in rooms]
    )
    publish, forward, apart, cold = fit(
        [((1, each.message.listening, each.message.goes_apart, each.nodes), each.redis) for each in points]
    )
    one, two = member_traffic(1), member_traffic(2)
    beat = (idle[2].nodes / 2 - idle[1].nodes) / (two.received - one.received)
    return Costs(
        say=say,
        tell=median(each.nodes for each in told) - deliver,
        receive=receive,
        deliver=deliver,
        publish=publish,
        forward=forward,
        apart=apart,
        cold=cold,
        beat=beat * 1e6,
        idle=idle[1].nodes,
        redis_idle=idle[1].redis - redis_member_cost(one, publish, forward),
        member_bytes=member_bytes,
    )


def _point(observed: Observed, idle: Shares) -> Point:
    ((_, message),) = observed.trial.loads
    runs = [run for (run,) in observed.runs]
    return Point(
        message,
        _median(runs, lambda run: run.nodes - idle.nodes * 1e6 / run.per_second),
        _median(runs, lambda run: run.redis - idle.redis * 1e6 / run.per_second),
    )


def _median(runs: Sequence[Measured], figure: Callable[[Measured], float]) -> float:
    return median(figure(run) for run in runs)
