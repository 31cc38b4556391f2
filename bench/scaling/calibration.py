"""The parameters of the model, from runs of one and two nodes and of a Redis alone."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.scaling.bus_bytes import BusBytes
from bench.scaling.model import Costs, Message, fit, member_traffic, room_message
from bench.scaling.processes import cpu_of
from bench.scaling.redis_loop import JOINED, publish_costs
from bench.scaling.runs import Cluster, Load, Measured, cluster, measure, room_load, small_rooms_load, user_load

ROOM_SIZES = (20, 80)
"""Clients on each node, in the runs with one room."""
SMALL_ROOM_SIZES = (6, 20)
"""Clients of a room, in the runs with many."""
LONG_TEXT = 300
"""Bytes of what a user tells another in a calibration; in the runs that the model is compared with it is a line."""
IDLE_TIME = 2.0
"""Seconds for which idle nodes are watched."""


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


def calibrate(seconds: float, runs: int) -> Costs:
    """Measure one node, and two; each run is repeated, and the medians count."""
    with cluster(2) as two:
        costs = _idle(two)
        shared = _messages(costs, two, seconds, runs)
        pair = user_load(1)
        told = _cost(costs, two, replace(pair, options={**pair.options, "size": LONG_TEXT}), seconds, runs)
    with cluster(1) as one:
        alone = _messages(costs, one, seconds, runs)
    say, receive, deliver = fit(
        [((1, message.listening - 1, message.deliveries), cost.nodes) for message, cost in alone + shared]
    )
    publish, forward = fit([((1, message.listening), cost.redis) for message, cost in alone + shared])
    return replace(
        costs,
        say=say,
        tell=told.nodes - receive - deliver,
        receive=receive,
        deliver=deliver,
        publish=publish,
        forward=forward,
    )


class _Cost(NamedTuple):
    """What one message cost all nodes, and Redis, without what they use while nothing is said."""

    nodes: float
    redis: float


def _messages(costs: Costs, running: Cluster, seconds: float, runs: int) -> list[tuple[Message, _Cost]]:
    nodes = len(running.serving.ports)
    loads = [(room_load(nodes, each), room_message(nodes, each * nodes)) for each in ROOM_SIZES]
    loads += [(small_rooms_load(nodes, 120, each), room_message(nodes, each)) for each in SMALL_ROOM_SIZES]
    return [(message, _cost(costs, running, load, seconds, runs)) for load, message in loads]


def _cost(costs: Costs, running: Cluster, load: Load, seconds: float, runs: int) -> _Cost:
    repeated = [_without_idle(costs, measure(running.serving, load, seconds)) for _ in range(runs)]
    return _Cost(*(median(values) for values in zip(*repeated, strict=True)))


def _without_idle(costs: Costs, measured: Measured) -> _Cost:
    idle = costs.idle * len(measured.nodes) * 1e6 / measured.per_second
    return _Cost(sum(measured.nodes) - idle, measured.redis - costs.redis_idle * 1e6 / measured.per_second)


def _idle(running: Cluster) -> Costs:
    """Return what nodes and Redis use while nothing is said."""
    bus = BusBytes(running.redis)
    began, before = time.monotonic(), [cpu_of(pid) for pid in running.serving.pids]
    bus.during(partial(time.sleep, IDLE_TIME))
    passed = time.monotonic() - began
    redis, *nodes = (cpu_of(pid) - cpu for pid, cpu in zip(running.serving.pids, before, strict=True))
    traffic = member_traffic(len(nodes))
    return Costs(
        *(0.0,) * 6,
        idle=sum(nodes) / len(nodes) / passed,
        redis_idle=redis / passed,
        member_bytes=bus.per_second(IDLE_TIME) / (traffic.published + traffic.forwarded),
    )
