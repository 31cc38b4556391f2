"""The parameters of the model, from runs of one and two nodes and of a Redis alone."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
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


class Round(NamedTuple):
    """One run of each kind that the model is fitted to.

    Attributes:
        idle: what nodes and Redis use while nothing is said.
        messages: messages to rooms, and what each cost.
        told: what a message from one user to another cost.
    """

    idle: Costs
    messages: list[tuple[Message, _Cost]]
    told: _Cost


def measure_round(seconds: float) -> Round:
    """Measure one node, and two."""
    pair = user_load(1)
    with cluster(2) as two:
        idle = _idle(two)
        shared = _messages(idle, two, seconds)
        told = _cost(idle, two, replace(pair, options={**pair.options, "size": LONG_TEXT}), seconds)
    with cluster(1) as one:
        return Round(idle, _messages(idle, one, seconds) + shared, told)


def costs_of(rounds: Sequence[Round]) -> Costs:
    """Fit the costs to the medians of some rounds."""
    messages = [message for message, _ in rounds[0].messages]
    costs = [_median(each.messages[number][1] for each in rounds) for number in range(len(messages))]
    points = list(zip(messages, costs, strict=True))
    say, receive, deliver = fit([((1, each.listening - 1, each.deliveries), cost.nodes) for each, cost in points])
    publish, forward = fit([((1, each.listening), cost.redis) for each, cost in points])
    return Costs(
        say=say,
        tell=_median(each.told for each in rounds).nodes - receive - deliver,
        receive=receive,
        deliver=deliver,
        publish=publish,
        forward=forward,
        idle=median(each.idle.idle for each in rounds),
        redis_idle=median(each.idle.redis_idle for each in rounds),
        member_bytes=median(each.idle.member_bytes for each in rounds),
    )


class _Cost(NamedTuple):
    """What one message cost all nodes, and Redis, without what they use while nothing is said."""

    nodes: float
    redis: float


def _median(costs: Iterable[_Cost]) -> _Cost:
    return _Cost(*(median(values) for values in zip(*costs, strict=True)))


def _messages(idle: Costs, running: Cluster, seconds: float) -> list[tuple[Message, _Cost]]:
    nodes = len(running.serving.ports)
    loads = [(room_load(nodes, each), room_message(nodes, each * nodes)) for each in ROOM_SIZES]
    loads += [(small_rooms_load(nodes, 120, each), room_message(nodes, each)) for each in SMALL_ROOM_SIZES]
    return [(message, _cost(idle, running, load, seconds)) for load, message in loads]


def _cost(idle: Costs, running: Cluster, load: Load, seconds: float) -> _Cost:
    return _without_idle(idle, measure(running.serving, load, seconds))


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
