"""The tables that `python -m bench.scaling` prints, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.scaling.beats import Beats
from bench.scaling.calibration import RedisCosts
from bench.scaling.comparison import Compared, Pair
from bench.scaling.model import Costs, MemberTraffic, member_traffic, old_member_traffic
from bench.scaling.projection import Plan, busy_publish, membership_of_redis, most_published, project

PLANS = [Plan(nodes, 1_000_000, 50, 20_000, 10_000) for nodes in (20, 50, 200, 1000)]
"""A million connections in rooms of 50; each says something to its room every 50 seconds, and to a user every 100."""
LISTENING = (1, 2, 8, 20, 50)
"""Nodes that listen on a channel, for what one Redis can carry."""
MEMBERS = (50, 200, 1000)
_PAIR_OF = "{}: model|measured|error"


def whole(
    host: Mapping[str, str],
    redis: Mapping[str, RedisCosts],
    costs: Costs,
    compared: Sequence[Compared],
    beats: Sequence[Beats],
) -> str:
    """Return all that is printed."""
    fastest = next(iter(redis.values()))
    parts = [
        ", ".join(f"{name} {value}" for name, value in host.items()),
        table(("step", "µs"), _steps(costs)),
        table(
            (
                "nodes",
                "load",
                *_PAIR_OF.format("nodes").split("|"),
                *_PAIR_OF.format("Redis").split("|"),
                *_PAIR_OF.format("KB/s").split("|"),
                "other work",
            ),
            map(_compared_row, compared),
        ),
        table(("a PUBLISH", "alone", "and each receiver", "of 16 together", "and each receiver"), _redis_rows(redis)),
        table(
            ("nodes that listen", "messages a second, alone", "together"),
            [_full_row(fastest, count) for count in LISTENING],
        ),
        table(
            ("nodes in one process", "messages to each, a second", "µs each", "of a core, each node"),
            [_beats_row(each, often=number == 0) for number, each in enumerate(beats)],
        ),
        table(
            ("members", "messages to each node, a second", "of its core", "from each Redis, a second", "of its core"),
            _member_rows(costs, fastest),
        ),
        table(
            (
                "nodes",
                "clients of each",
                "nodes of a room",
                "core of a node",
                "for membership",
                "cores of all Redis",
                "core of each, for membership",
                "Redis needed",
                "all Redis send",
                "each node sends to clients",
            ),
            [_plan_row(costs, fastest, plan) for plan in PLANS],
        ),
    ]
    return "\n\n".join(parts)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _steps(costs: Costs) -> list[tuple[str, str]]:
    return [
        ("a node takes a client's message for a room, and publishes it", f"{costs.say:.0f}"),
        ("a node takes a client's message for a user, and publishes it", f"{costs.tell:.0f}"),
        ("a node receives a message from Redis", f"{costs.receive:.0f}"),
        ("a node writes a message to a client", f"{costs.deliver:.1f}"),
        ("Redis takes a PUBLISH", f"{costs.publish:.1f}"),
        ("Redis writes a message to a node", f"{costs.forward:.1f}"),
        ("a node takes a message about membership", f"{costs.beat:.1f}"),
    ]


def _redis_rows(redis: Mapping[str, RedisCosts]) -> list[tuple[str, ...]]:
    return [(name, *(f"{value:.2f}" for value in each)) for name, each in redis.items()]


def _compared_row(each: Compared) -> tuple[str, ...]:
    shares = [*_shares(each.cpu), *_shares(each.redis)]
    return (f"{each.nodes}", each.title, *shares, *_kilobytes(each.wire), f"{each.others:.0%}")


def _shares(pair: Pair) -> tuple[str, str, str]:
    return f"{pair.predicted:.1%}", f"{pair.measured:.1%}", f"{pair.error:+.0%}"


def _kilobytes(pair: Pair) -> tuple[str, str, str]:
    return f"{pair.predicted / 1000:,.0f}", f"{pair.measured / 1000:,.0f}", f"{pair.error:+.0%}"


def _full_row(redis: RedisCosts, listening: int) -> tuple[str, ...]:
    alone = redis.publish + listening * redis.forward
    return f"{listening}", f"{most_published(alone):,.0f}", f"{most_published(busy_publish(redis, listening)):,.0f}"


def _beats_row(each: Beats, *, often: bool) -> tuple[str, ...]:
    title = f"{each.nodes}, each beating twice a second" if often else f"{each.nodes}"
    return title, f"{each.received:.0f}", f"{each.cpu:.1f}", f"{each.share:.2%}"


def _member_rows(costs: Costs, redis: RedisCosts) -> list[tuple[str, ...]]:
    rows = []
    for nodes in MEMBERS:
        old = _member_row(f"{nodes}, each beating twice a second", costs, redis, old_member_traffic(nodes))
        rows += [old, _member_row(f"{nodes}", costs, redis, member_traffic(nodes))]
    return rows


def _member_row(title: str, costs: Costs, redis: RedisCosts, traffic: MemberTraffic) -> tuple[str, ...]:
    return (
        title,
        f"{traffic.received:,.0f}",
        f"{traffic.received * costs.beat / 1e6:.2%}",
        f"{traffic.forwarded:,.0f}",
        f"{membership_of_redis(redis, traffic):.0%}",
    )


def _plan_row(costs: Costs, redis: RedisCosts, plan: Plan) -> tuple[str, ...]:
    projected = project(costs, redis, plan)
    return (
        f"{plan.nodes:,}",
        f"{plan.connections // plan.nodes:,}",
        f"{projected.listening}",
        f"{projected.node:.0%}",
        f"{projected.node_members:.2%}",
        f"{projected.redis:.2f}",
        f"{projected.redis_members:.0%}",
        "no number is enough" if projected.redis_needed is None else f"{projected.redis_needed}",
        f"{projected.redis_out / 1e6:,.0f} MB/s",
        f"{projected.clients_out / 1e6:,.1f} MB/s",
    )
