"""The model: what a message costs nodes, Redis and the network. Pure; its parameters are measured elsewhere.

It is one of CPU time, not of throughput, and of messages that travel alone: one in each turn of an event loop, one in
each write. Under load messages are joined and cost less, so what the model says is the most that a message costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from crosswire import Redis
from crosswire.core.envelopes import HEADER_SIZE, ClientMessage, encode
from crosswire.core.membership import beat_interval
from crosswire.core.watch import WATCH_INTERVAL, WATCHED

PROBE_INTERVAL = Redis("redis://127.0.0.1").ping_interval
"""Seconds after which a node sends itself the next message over each Redis."""
MEAN_BEAT = 0.75
"""Part of the interval between two beats that passes on average, where beats are rare."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What single steps cost, in microseconds of CPU, and what processes use while nothing is said.

    Attributes:
        say: a node takes a client's message for a room, has it handled, and publishes it.
        tell: a node does so for a message to a user, and another node takes it from the bus.
        receive: a node takes a message for a room from the bus.
        deliver: a node writes a message to one client.
        publish: Redis takes a PUBLISH, and answers it.
        forward: Redis writes a message to one node.
        apart: the same costs so much more where the answer and the message wake more than one process.
        cold: seconds that Redis works longer for each second in which nodes have used its core: they take its place in
            the caches. It is 0 where Redis has a core for itself.
        meeting: where two loads run at the same time, the part of the messages of the rarer one that come to Redis
            together with a message of the other.
        met_nodes: what nodes spare for each that does.
        met_redis: what Redis spares for each that does.
        beat: a node takes a beat or another message about membership.
        idle: share of a core that a node uses that knows no other, while nothing is said.
        redis_idle: share of a core that Redis uses then for itself.
        member_bytes: bytes of a message about membership to Redis or from it, with what else idle nodes send.
    """

    say: float
    tell: float
    receive: float
    deliver: float
    publish: float
    forward: float
    apart: float = 0.0
    cold: float = 0.0
    meeting: float = 0.0
    met_nodes: float = 0.0
    met_redis: float = 0.0
    beat: float = 0.0
    idle: float = 0.0
    redis_idle: float = 0.0
    member_bytes: float = 0.0


class Message(NamedTuple):
    """One message, as it goes through a cluster.

    Attributes:
        listening: nodes that listen on its channel.
        deliveries: clients that get it, on all nodes.
        to_user: whether it is for a user, whose channel the sender's node does not listen on.
    """

    listening: int
    deliveries: int
    to_user: bool = False

    @property
    def goes_apart(self) -> bool:
        """Whether it goes to another node than that of the sender."""
        return self.to_user or self.listening > 1


def room_message(nodes: int, members: int, nodes_of_room: int | None = None) -> Message:
    """Return a message to a room whose members are spread evenly over nodes, the sender being one of them."""
    return Message(min(nodes_of_room or nodes, members), members)


def user_message() -> Message:
    """Return a message to a user on another node."""
    return Message(1, 1, to_user=True)


def nodes_cost(costs: Costs, message: Message) -> float:
    """Return what a message costs all nodes, in microseconds."""
    taken = costs.tell if message.to_user else costs.say + (message.listening - 1) * costs.receive
    return taken + message.deliveries * costs.deliver


def redis_cost(costs: Costs, message: Message) -> float:
    """Return what a message costs a Redis that has a core for itself, in microseconds."""
    return costs.publish + message.listening * costs.forward + (costs.apart if message.goes_apart else 0)


class Rate(NamedTuple):
    """Messages of one kind in a second."""

    per_second: float
    message: Message


class Shares(NamedTuple):
    """Shares of a core that all nodes use together, and that Redis uses."""

    nodes: float
    redis: float


def shares(costs: Costs, nodes: int, said: Iterable[Rate]) -> Shares:
    """Return what a cluster uses in which this is said, all its processes being on one core."""
    said, idle = list(said), idle_shares(costs, nodes)
    met = met_a_second(costs, said)
    of_nodes = sum(each.per_second * nodes_cost(costs, each.message) for each in said) - met * costs.met_nodes
    of_redis = sum(each.per_second * redis_cost(costs, each.message) for each in said) - met * costs.met_redis
    return Shares(idle.nodes + of_nodes / 1e6, idle.redis + (of_redis + costs.cold * of_nodes) / 1e6)


def met_a_second(costs: Costs, said: Sequence[Rate]) -> float:
    """Return how many messages come to Redis together with one of another load, each load having one under way."""
    return costs.meeting * min(each.per_second for each in said) if len(said) > 1 else 0.0


def idle_shares(costs: Costs, nodes: int) -> Shares:
    """Return what a cluster uses while nothing is said: its nodes tell each other that they are alive."""
    traffic = member_traffic(nodes)
    return Shares(
        nodes * (costs.idle + traffic.received * costs.beat / 1e6),
        costs.redis_idle + redis_member_cost(traffic, costs.publish, costs.forward),
    )


def redis_member_cost(traffic: MemberTraffic, publish: float, forward: float) -> float:
    """Return the share of a core that membership and probes take of each Redis, by the microseconds of a message."""
    return ((traffic.published + traffic.probes) * publish + (traffic.forwarded + traffic.probes) * forward) / 1e6


class Wire(NamedTuple):
    """Bytes of one message between the nodes and Redis."""

    to_redis: int
    from_redis: int


def bus_bytes(message: Message, channel: bytes, size: int) -> Wire:
    """Return the bytes of a message for clients on its way over Redis, without those of TCP and IP.

    Args:
        message: the message.
        channel: its name.
        size: bytes of the message, as a client gets it.
    """
    body = HEADER_SIZE + len(encode(ClientMessage(b"x" * size)))
    published = _resp(b"PUBLISH", channel, b"x" * body)
    answer = len(b":%d\r\n" % message.listening)
    forwarded = _resp(b"message", channel, b"x" * body)
    return Wire(published, answer + message.listening * forwarded)


def _resp(*words: bytes) -> int:
    return len(b"*%d\r\n" % len(words)) + sum(len(b"$%d\r\n" % len(word)) + len(word) + 2 for word in words)


def error(predicted: float, measured: float) -> float:
    """Return by which part of the measured value the prediction is off."""
    return (predicted - measured) / measured


def fit(points: Sequence[tuple[Sequence[float], float]]) -> list[float]:
    """Find what each step costs, by least squares of the relative errors.

    Args:
        points: how often each step was taken, and what all of them cost.
    """
    rows = [[count / cost for count in counts] for counts, cost in points]
    size = len(rows[0])
    system = [
        [sum(row[i] * row[j] for row in rows) for j in range(size)] + [sum(row[i] for row in rows)] for i in range(size)
    ]
    for pivot in range(size):  # elimination; the matrix of a least-squares problem needs no exchange of rows
        for other in range(size):
            if other != pivot:
                factor = system[other][pivot] / system[pivot][pivot]
                system[other] = [a - factor * b for a, b in zip(system[other], system[pivot], strict=True)]
    return [system[i][size] / system[i][i] for i in range(size)]


# Membership


class MemberTraffic(NamedTuple):
    """Messages about membership in a second.

    Attributes:
        received: by each node.
        published: by all nodes, on each Redis.
        forwarded: by each Redis.
        probes: messages that all nodes send themselves over each Redis, to see whether it is there.
    """

    received: float
    published: float
    forwarded: float
    probes: float


def member_traffic(nodes: int) -> MemberTraffic:
    """Return the messages by which so many nodes show that they are alive, when none comes or goes."""
    interval = beat_interval(nodes)
    rare = interval > beat_interval(1)
    beats = nodes / (max(beat_interval(1), interval * MEAN_BEAT) if rare else interval)
    asked = WATCHED / WATCH_INTERVAL if rare else 0.0  # and as many answers, to each node and by each
    published = beats + 2 * nodes * asked
    received, forwarded = beats * (nodes - 1) / nodes + 2 * asked, beats * nodes + 2 * nodes * asked
    return MemberTraffic(received, published, forwarded, nodes / PROBE_INTERVAL)


def old_member_traffic(nodes: int) -> MemberTraffic:
    """Return the same if every node beat twice a second, however many there are."""
    beats = nodes / beat_interval(1)
    return MemberTraffic(beats * (nodes - 1) / nodes, beats, beats * nodes, nodes / PROBE_INTERVAL)


def probe_bytes() -> int:
    """Return the bytes of a probe on its way to Redis and back, with the answer."""
    channel, body = b"cw:p:0123456789abcdef:1", b"10-0123456789abcdef"
    return len(b":1\r\n") + _resp(b"PUBLISH", channel, body) + _resp(b"message", channel, body)
