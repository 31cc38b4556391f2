"""What the model says of clusters that are larger than this machine can run: each process has a core for itself."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from bench.scaling.calibration import RedisCosts
from bench.scaling.model import (
    Costs,
    MemberTraffic,
    Message,
    bus_bytes,
    member_traffic,
    nodes_cost,
    redis_member_cost,
    user_message,
)

CHANNEL = b"cw:r:4:chat1000"
SIZE = 100
"""Bytes of a message as a client gets it: a line of 60 characters, as JSON."""
FRAME = SIZE + 2
"""Bytes of its WebSocket frame."""
FULL = 0.7
"""Share of a core that a node or a Redis should use at most, so that peaks find room."""


class Plan(NamedTuple):
    """A cluster and what its clients do.

    Attributes:
        nodes: one process each, on a core of its own.
        connections: in all.
        members: clients of a room.
        to_rooms: messages to rooms in a second.
        to_users: messages to users in a second.
    """

    nodes: int
    connections: int
    members: int
    to_rooms: float
    to_users: float


PLANS = [Plan(nodes, 1_000_000, 50, 20_000, 10_000) for nodes in (20, 50, 200, 1000)]
"""A million connections in rooms of 50; each says something to its room every 50 seconds, and to a user every 100."""


class Projection(NamedTuple):
    """What a plan takes.

    Attributes:
        listening: nodes that listen on the channel of a room, on average.
        node: share of a core that each node uses.
        node_members: part of it that goes to membership.
        redis: cores that all Redis use for messages together.
        redis_members: share of a core that each Redis uses for membership.
        redis_needed: independent Redis over which the messages have to be spread; None if no number is enough.
        redis_out: bytes a second that all Redis send for messages.
        clients_out: bytes a second that each node sends to its clients.
    """

    listening: int
    node: float
    node_members: float
    redis: float
    redis_members: float
    redis_needed: int | None
    redis_out: float
    clients_out: float


def nodes_of_a_room(nodes: int, members: int) -> int:
    """Return on how many nodes the members of a room are, on average, if each is on any node."""
    return max(1, round(nodes * (1 - (1 - 1 / nodes) ** members)))


def project(costs: Costs, redis: RedisCosts, plan: Plan) -> Projection:
    """Return what a plan takes."""
    room = Message(nodes_of_a_room(plan.nodes, plan.members), plan.members)
    user = user_message()
    membership = member_traffic(plan.nodes)
    work = plan.to_rooms * nodes_cost(costs, room) + plan.to_users * nodes_cost(costs, user)
    node_members = membership.received * costs.beat / 1e6
    cores = (
        plan.to_rooms * busy_publish(redis, room.listening) + plan.to_users * busy_publish(redis, user.listening)
    ) / 1e6
    redis_members = membership_of_redis(redis, membership)
    to_room, to_user = (bus_bytes(each, CHANNEL, SIZE).from_redis for each in (room, user))
    return Projection(
        room.listening,
        work / 1e6 / plan.nodes + costs.idle + node_members,
        node_members,
        cores,
        redis_members,
        redis_needed(cores, redis_members),
        plan.to_rooms * to_room + plan.to_users * to_user,
        (plan.to_rooms * plan.members + plan.to_users) * FRAME / plan.nodes,
    )


def busy_publish(redis: RedisCosts, listening: int) -> float:
    """Return the microseconds of a PUBLISH for a Redis that has many to do, so that they come together."""
    return redis.publish_joined + listening * redis.forward_joined


def membership_of_redis(redis: RedisCosts, traffic: MemberTraffic) -> float:
    """Return the share of a core that membership takes of each Redis."""
    return redis_member_cost(traffic, redis.publish, redis.forward_joined)


def redis_needed(messages: float, membership: float) -> int | None:
    """Return how many Redis are needed: each carries a part of the messages, and all of the membership.

    Args:
        messages: cores that the messages take of all Redis.
        membership: share of a core that membership takes of each.
    """
    return None if membership >= FULL else max(1, ceil(messages / (FULL - membership)))


def most_published(cost: float) -> float:
    """Return the messages in a second with which one Redis is full, if each takes so many microseconds."""
    return FULL * 1e6 / cost
