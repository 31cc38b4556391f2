"""Runs of real clusters, in turns: those that the model is fitted to, and those that it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from statistics import mean
from typing import NamedTuple

from bench.native import SERVER_CORE, Serving, nodes_with_redis, on_core, run_together
from bench.scaling.model import Message, Rate, Shares, room_message, user_message
from crosswire.testing.redis_process import RedisProcess

ROOM_SIZES = (20, 80, 320)
"""Clients on each node, in the calibrations with one room."""
SMALL_ROOM_SIZES = (6, 20)
"""Clients of a room, in the calibrations with many."""
TEXT_SIZES = (150, 300)
"""Bytes of what a user tells another in calibrations; in the runs that the model is compared with it is a line."""
MEETING_ROOM_SIZES = (20, 80)
"""Clients on each node, in the calibrations with a room and a user who tells another something."""
WARMUP = 0.15
"""Seconds that a run lasts before it is measured."""


class Measured(NamedTuple):
    """What a message cost in a run.

    Attributes:
        per_second: messages.
        redis: microseconds of CPU for a message, of Redis.
        nodes: of all nodes, the same.
        others: share of the servers' core that other work on the machine had.
        size: bytes of a message, as a client gets it.
    """

    per_second: float
    redis: float
    nodes: float
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
def clusters(sizes: Iterable[int]) -> Iterator[dict[int, Cluster]]:
    """Run clusters of so many nodes, all on one core: those that nothing is said in use little of it."""
    with ExitStack() as running:
        yield {nodes: running.enter_context(cluster(nodes)) for nodes in sizes}


@contextmanager
def cluster(nodes: int) -> Iterator[Cluster]:
    """Run several nodes and their Redis, all on one core."""
    with ExitStack() as processes:
        with on_core(SERVER_CORE):
            redis = processes.enter_context(RedisProcess())
        yield Cluster(processes.enter_context(nodes_with_redis(redis, nodes)), redis)


@dataclass(frozen=True, slots=True)
class Trial:
    """Something that is run again and again, in turns with others.

    Attributes:
        title: for tables.
        nodes: in the cluster.
        loads: what happens there at the same time, with the messages that this makes.
    """

    title: str
    nodes: int
    loads: tuple[tuple[Load, Message], ...]


def rates_of(trial: Trial, run: Sequence[Measured]) -> list[Rate]:
    """Return what was said in a run of a trial."""
    return [Rate(each.per_second, message) for each, (_, message) in zip(run, trial.loads, strict=True)]


def used_in(run: Sequence[Measured]) -> Shares:
    """Return what all nodes used in a run, and Redis; each of the loads that ran at the same time says it of all."""
    return Shares(
        mean(each.per_second * each.nodes / 1e6 for each in run),
        mean(each.per_second * each.redis / 1e6 for each in run),
    )


class Observed(NamedTuple):
    """All runs of a trial: what was measured of each of its loads."""

    trial: Trial
    runs: list[list[Measured]]


def run_in_turns(
    clusters: Mapping[int, Cluster], trials: Sequence[Trial], runs: int, seconds: float, tell: Callable[[str], None]
) -> list[Observed]:
    """Run all trials once, then all again, so that a slow time of the machine is one for all of them."""
    observed = [Observed(trial, []) for trial in trials]
    for number in range(runs):
        tell(f"round {number + 1} of {runs}")
        for each in observed:
            each.runs.append(run_once(clusters[each.trial.nodes].serving, each.trial, seconds))
    return observed


def run_once(running: Serving, trial: Trial, seconds: float) -> list[Measured]:
    """Run all loads of a trial at the same time; each of the results has the CPU of all of them."""
    loads = [load for load, _ in trial.loads]
    options = [{"seconds": seconds, "warmup": WARMUP, **load.options} for load in loads]
    modes = [load.mode for load in loads]
    found = run_together(running, list(zip(modes, options, strict=True)))
    return [_measured(load, figures, len(running.pids)) for load, figures in zip(loads, found, strict=True)]


def _measured(load: Load, figures: Mapping[str, float], processes: int) -> Measured:
    costs = [figures[f"cpu_us_{number + 1}"] * load.deliveries for number in range(processes)]
    size = int(figures.get("bytes", load.size))
    return Measured(figures["per_second"] / load.deliveries, costs[0], sum(costs[1:]), figures["server_others"], size)


# What is run


def calibrations() -> list[Trial]:
    """Return the small runs that the model is fitted to: one node and two, and one message under way."""
    rooms = [_calibration(nodes, *each) for nodes in (1, 2) for each in _rooms(nodes)]
    pair = user_load(1)
    told = [replace(pair, options={**pair.options, "size": size}) for size in TEXT_SIZES]
    return [*rooms, *(_calibration(2, load, user_message()) for load in told)]


def _rooms(nodes: int) -> list[tuple[Load, Message]]:
    loads = [(room_load(nodes, each), room_message(nodes, each * nodes)) for each in ROOM_SIZES]
    return loads + [(small_rooms_load(nodes, 120, each), room_message(nodes, each)) for each in SMALL_ROOM_SIZES]


def _calibration(nodes: int, load: Load, message: Message) -> Trial:
    return Trial("calibration", nodes, ((load, message),))


def meetings() -> list[Trial]:
    """Return runs of two nodes with two loads at the same time, each with one message under way."""
    pair = user_load(1)
    told = replace(pair, options={**pair.options, "size": TEXT_SIZES[0]}), user_message()
    rooms = [(room_load(2, each), room_message(2, 2 * each)) for each in MEETING_ROOM_SIZES]
    return [Trial("meetings", 2, (told, room)) for room in rooms]


def comparisons(nodes: int) -> list[Trial]:
    """Return the runs of one size of the cluster that the model is compared with."""
    room = room_load(nodes, 50), room_message(nodes, 50 * nodes)
    small = small_rooms_load(nodes, 100, 10), room_message(nodes, 10)
    user = user_load(1), user_message()
    return [
        Trial("a room with 50 clients on each node", nodes, (room,)),
        Trial("rooms of 10 clients", nodes, (small,)),
        Trial("user to user", nodes, (user,)),
        Trial("user to user, and a room with 50 clients on each node", nodes, (user, room)),
    ]


def under_load() -> list[Trial]:
    """Return runs of two nodes with many messages under way, so that they are joined."""
    told = Load("tell", {"each": 100, "inflight": 8, "batch": 0})
    small = Load("rooms", {"each": 100, "members": 10, "inflight": 20}, 10)
    room = Load("room", {"each": 500, "inflight": 8}, 1000)
    return [
        Trial(
            "user to user, 100 clients on each node, 8 messages of each pair under way", 2, ((told, user_message()),)
        ),
        Trial(
            "rooms of 10 clients, 100 on each node, one message of each room under way",
            2,
            ((small, room_message(2, 10)),),
        ),
        Trial("a room with 500 clients on each node, 8 messages under way", 2, ((room, room_message(2, 1000)),)),
    ]
