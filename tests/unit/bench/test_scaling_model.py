from __future__ import annotations

from dataclasses import replace

import pytest
from bench.scaling.calibration import RedisCosts
from bench.scaling.model import (
    Costs,
    Message,
    Rate,
    bus_bytes,
    fit,
    idle_shares,
    member_traffic,
    nodes_cost,
    old_member_traffic,
    redis_cost,
    room_message,
    shares,
    user_message,
)
from bench.scaling.projection import FULL, Plan, nodes_of_a_room, project, redis_needed
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.envelopes import ClientMessage, encode, pack_header

COSTS = Costs(say=100, tell=90, receive=80, deliver=6, publish=15, forward=10, apart=3, cold=0.01, beat=15)
REDIS = RedisCosts(10, 4, 1, 0.4)
MILLION = Plan(200, 1_000_000, 50, 20_000, 10_000)

_micros = st.floats(1, 100)


@given(st.tuples(_micros, _micros, _micros))
def test_what_each_step_costs_follows_from_runs_with_different_numbers_of_steps(steps: tuple[float, ...]) -> None:
    runs = [(1, 0, 20), (1, 0, 80), (1, 1, 40), (1, 1, 160), (1, 1, 6)]
    points = [(run, sum(count * cost for count, cost in zip(run, steps, strict=True))) for run in runs]
    assert fit(points) == pytest.approx(steps, rel=1e-6)


def test_a_message_to_a_room_costs_each_of_its_nodes() -> None:
    message = room_message(4, 10)
    assert nodes_cost(COSTS, message) == 100 + 3 * 80 + 10 * 6
    assert redis_cost(COSTS, message) == 15 + 4 * 10 + 3
    assert redis_cost(COSTS, room_message(1, 10)) == 15 + 10
    assert room_message(8, 3) == Message(3, 3)  # its members are on three nodes at most


def test_a_message_to_a_user_is_heard_by_one_node() -> None:
    assert nodes_cost(COSTS, user_message()) == 90 + 6
    assert redis_cost(COSTS, user_message()) == 15 + 10 + 3


def test_a_redis_pays_for_what_nodes_do_on_its_core_in_between() -> None:
    idle, said = idle_shares(COSTS, 2), shares(COSTS, 2, [Rate(1000, room_message(2, 10))])
    assert said.nodes - idle.nodes == pytest.approx(1000 * (100 + 80 + 60) / 1e6)
    assert said.redis - idle.redis == pytest.approx(1000 * (15 + 20 + 3) / 1e6 + 0.01 * (said.nodes - idle.nodes))


def test_messages_of_two_loads_that_meet_cost_less() -> None:
    costs = replace(COSTS, cold=0.0, meeting=0.5, met_nodes=30.0, met_redis=20.0)
    often, rarely = Rate(1000, user_message()), Rate(200, room_message(2, 10))
    idle, together = idle_shares(costs, 2), shares(costs, 2, [often, rarely])
    alone = [shares(costs, 2, [each]) for each in (often, rarely)]
    for part, spared in (("nodes", 30.0), ("redis", 20.0)):
        apart = sum(getattr(each, part) - getattr(idle, part) for each in alone)
        assert getattr(together, part) - getattr(idle, part) == pytest.approx(apart - 0.5 * 200 * spared / 1e6)


def test_nodes_use_something_while_nothing_is_said() -> None:
    costs = replace(COSTS, idle=0.001, redis_idle=0.002)
    traffic = member_traffic(8)
    assert idle_shares(costs, 8).nodes == pytest.approx(8 * (0.001 + traffic.received * 15 / 1e6))
    to_redis, from_redis = traffic.published + traffic.probes, traffic.forwarded + traffic.probes
    assert traffic.probes == 16  # two a second from each node, to itself
    assert idle_shares(costs, 8).redis == pytest.approx(0.002 + (to_redis * 15 + from_redis * 10) / 1e6)
    assert shares(costs, 8, []) == idle_shares(costs, 8)


def test_the_bytes_on_the_bus_are_those_that_are_sent() -> None:
    channel, json = b"cw:r:4:chat1000", b'{"event":"x"}'
    body = pack_header(b"12345678", 2, 1) + encode(ClientMessage(json))
    publish = b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(channel), channel, len(body), body)
    message = b"*3\r\n$7\r\nmessage\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(channel), channel, len(body), body)
    assert bus_bytes(Message(3, 9), channel, len(json)) == (len(publish), len(b":3\r\n") + 3 * len(message))


def test_what_members_say_to_a_node_does_not_grow_with_a_large_cluster() -> None:
    assert member_traffic(50) == old_member_traffic(50)
    assert old_member_traffic(1000).received == pytest.approx(1998)
    assert member_traffic(1000).received == pytest.approx(member_traffic(200).received, rel=0.01)
    assert member_traffic(1000).forwarded < old_member_traffic(1000).forwarded / 10


def test_members_of_a_room_share_nodes_where_there_are_few() -> None:
    assert [nodes_of_a_room(nodes, 50) for nodes in (1, 10, 1000)] == [1, 10, 49]
    assert nodes_of_a_room(20, 1) == 1


def test_each_redis_carries_all_that_members_say() -> None:
    assert redis_needed(0, 0) == 1
    assert redis_needed(2 * FULL, 0) == 2
    assert redis_needed(2 * FULL, 0.1) == 3
    assert redis_needed(0.1, FULL) is None


def test_more_nodes_share_the_work_and_give_more_to_redis() -> None:
    few, many = project(COSTS, REDIS, MILLION._replace(nodes=20)), project(COSTS, REDIS, MILLION)
    assert many.node < few.node
    assert many.redis > few.redis
    assert few.clients_out == 10 * many.clients_out
