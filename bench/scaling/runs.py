"""Runs of real clusters: those that the model is fitted to, and the larger ones that it is compared with."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import NamedTuple

from bench.native import SERVER_CORE, Serving, on_core, run_loadgen, serving
from bench.scaling.model import Message, room_message, user_message
from crosswire.testing.redis_process import RedisProcess


class Measured(NamedTuple):
    """What a message cost in a run.

    Attributes:
        per_second: messages.
        redis: microseconds of CPU for a message, of Redis.
        nodes: of each node, the same.
        others: share of the servers' core that other work on the machine had.
        size: bytes of a message, as a client gets it.
    """

    per_second: float
    redis: float
    nodes: tuple[float, ...]
    others: float
    size: int


@dataclass(frozen=True, slots=True)
class Load:
    """What the load generator does in a run.

    Attributes:
        mode: of the load generator.
        options: of the load generator.
        deliveries: clients that get each message.
        channel: on which the messages travel, or one with a name of the same length.
        size: bytes of a message, where the load generator does not say.
    """

    mode: str
    options: Mapping[str, object] = field(default_factory=dict)
    deliveries: int = 1
    channel: bytes = b"cw:r:4:chat1000"
    size: int = 0


def room_load(nodes: int, each: int) -> Load:
    """Return a room with so many clients on each node: one of them speaks, and again once all have heard it."""
    return Load("room", {"each": each, "inflight": 1, "path": "/?id=member-%d"}, nodes * each)


def small_rooms_load(nodes: int, each: int, members: int) -> Load:
    """Return rooms with so many clients, spread over the nodes; one room at a time speaks."""
    return Load("rooms", {"each": each, "members": members, "inflight": 1}, members)


def user_load(pairs: int) -> Load:
    """Return pairs of users on different nodes: one tells the other, and again once it has heard it."""
    told = b'{"event":"told","payload":{"text":"Sixty characters are what a line of chat has on average, so."}}'
    return Load("tell", {"clients": 2 * pairs, "inflight": 1}, 1, b"cw:u:1", len(told))


class Cluster(NamedTuple):
    """Running nodes and their Redis."""

    serving: Serving
    redis: RedisProcess


@contextmanager
def cluster(nodes: int) -> Iterator[Cluster]:
    """Run several nodes and their Redis, all on one core."""
    with ExitStack() as processes:
        with on_core(SERVER_CORE):
            redis = processes.enter_context(RedisProcess())
        command = [sys.executable, "-m", "bench.peers.adapters.crosswire_node", "--redis", redis.url, "--name"]
        each = [processes.enter_context(serving([*command, name])) for name in ascii_uppercase[:nodes]]
        ports, pids = [node.ports[0] for node in each], [node.pids[0] for node in each]
        yield Cluster(Serving(ports, [redis.pid, *pids]), redis)


def measure(running: Serving, load: Load, seconds: float) -> Measured:
    """Run a load once."""
    figures = run_loadgen(load.mode, running, seconds=seconds, warmup=0.3, **load.options)
    costs = [figures[f"cpu_us_{number + 1}"] * load.deliveries for number in range(len(running.pids))]
    size = int(figures.get("bytes", load.size))
    return Measured(figures["per_second"] / load.deliveries, costs[0], tuple(costs[1:]), figures["server_others"], size)


def measure_together(running: Serving, loads: Sequence[Load], seconds: float) -> list[Measured]:
    """Run loads at the same time; each of the results has the CPU of all of them."""
    with ThreadPoolExecutor(len(loads)) as threads:
        return list(threads.map(lambda load: measure(running, load, seconds), loads))


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run that the model is compared with.

    Attributes:
        title: for the table.
        nodes: in the cluster.
        loads: what happens there at the same time, with the messages that this makes.
    """

    title: str
    nodes: int
    loads: tuple[tuple[Load, Message], ...]


def comparisons(nodes: int) -> list[Comparison]:
    """Return the runs of one size of the cluster."""
    room = room_load(nodes, 50), room_message(nodes, 50 * nodes)
    small = small_rooms_load(nodes, 100, 10), room_message(nodes, 10)
    user = user_load(1), user_message()
    return [
        Comparison("a room with 50 clients on each node", nodes, (room,)),
        Comparison("rooms of 10 clients", nodes, (small,)),
        Comparison("user to user", nodes, (user,)),
        Comparison("user to user, and a room with 50 clients on each node", nodes, (user, room)),
    ]
