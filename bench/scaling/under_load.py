"""What a message costs where many are under way, so that they are joined: beside what the model says of one alone."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

from bench.scaling.model import Message, room_message, user_message
from bench.scaling.runs import Load, cluster, measure

NODES = 2
LOADS = {
    "user to user, 100 clients on each node, 8 messages of each pair under way": (
        Load("tell", {"each": 100, "inflight": 8, "batch": 0}),
        user_message(),
    ),
    "rooms of 10 clients, 100 on each node, one message of each room under way": (
        Load("rooms", {"each": 100, "members": 10, "inflight": 20}, 10),
        room_message(NODES, 10),
    ),
    "a room with 500 clients on each node, 8 messages under way": (
        Load("room", {"each": 500, "inflight": 8}, 1000),
        room_message(NODES, 1000),
    ),
}


class UnderLoad(NamedTuple):
    """What a message cost.

    Attributes:
        title: what was done.
        message: what it was.
        nodes: microseconds of all nodes for one message.
        redis: the same of Redis.
    """

    title: str
    message: Message
    nodes: float
    redis: float


def measure_under_load(seconds: float, runs: int) -> list[UnderLoad]:
    """Measure two nodes with much to do."""
    results = []
    for title, (load, message) in LOADS.items():
        with cluster(NODES) as running:
            measured = [measure(running.serving, load, seconds) for _ in range(runs)]
        nodes, redis = median(sum(each.nodes) for each in measured), median(each.redis for each in measured)
        results.append(UnderLoad(title, message, nodes, redis))
    return results
