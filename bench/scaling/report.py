"""The parts that `python -m bench.scaling` prints, in Markdown: tables, with notes that follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.scaling import notes
from bench.scaling.beats import Beats
from bench.scaling.calibration import RedisCosts
from bench.scaling.comparison import Compared, Pair
from bench.scaling.figures import Figures
from bench.scaling.model import (
    Costs,
    MemberTraffic,
    Shares,
    idle_shares,
    member_traffic,
    nodes_cost,
    old_member_traffic,
    redis_cost,
)
from bench.scaling.projection import (
    PLANS,
    Plan,
    busy_publish,
    membership_of_redis,
    most_published,
    project,
)
from bench.scaling.under_load import UnderLoad

LISTENING = (1, 2, 8, 20, 50)
"""Nodes that listen on a channel, for what one Redis can carry."""
MEMBERS = (50, 200, 1000)
_PAIRS = [f"{of}{what}" for of in ("nodes: ", "Redis: ", "bytes: ") for what in ("model", "measured", "error")]


def parts(figures: Figures) -> dict[str, str]:
    """Return all that is printed, by the names of its places on the page."""
    return {
        "machine": notes.machine(figures),
        "steps": table(("step", "µs"), _steps(figures.costs)),
        "compared": _compared(figures),
        "under-load": _under_load(figures),
        "redis": table(
            ("a PUBLISH", "alone", "and each receiver", "of 16 together", "and each receiver"),
            _redis_rows(figures.redis),
        ),
        "full": _full(figures),
        "idle": _idle(figures),
        "beats": table(
            (
                "nodes in one process",
                "messages to each, a second: model",
                "measured",
                "µs each",
                "of a core, each node",
            ),
            [_beats_row(each, often=number == 0) for number, each in enumerate(figures.beats)],
        ),
        "members": _members(figures),
        "memory": notes.memory(figures.memory),
        "million": _million(figures),
    }


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _steps(costs: Costs) -> list[tuple[str, str]]:
    return [
        ("a node takes a client's message for a room, and publishes it", f"{costs.say:.0f}"),
        ("a node takes a message for a room from Redis", f"{costs.receive:.0f}"),
        ("a node takes a client's message for a user, and another node takes it from Redis", f"{costs.tell:.0f}"),
        ("a node writes a message to a client", f"{costs.deliver:.1f}"),
        ("Redis takes a PUBLISH, and answers it", f"{costs.publish:.1f}"),
        ("Redis writes a message to a node", f"{costs.forward:.1f}"),
        ("Redis, where that wakes more nodes than the sender's: more, once", f"{costs.apart:.1f}"),
        ("Redis, for each ms that nodes have worked on its core in between", f"{costs.cold * 1000:.1f}"),
        ("nodes, where messages of two loads come to Redis together: less, once", f"{costs.met_nodes:.0f}"),
        ("Redis, where they do: less, once", f"{costs.met_redis:.1f}"),
        ("a node takes a message about membership", f"{costs.beat:.0f}"),
    ]


def _compared(figures: Figures) -> str:
    rows = table(("nodes", "load", *_PAIRS, "other work"), map(_compared_row, figures.compared))
    return f"{rows}\n\n{notes.verdict_of(figures.compared)}"


def _compared_row(each: Compared) -> tuple[str, ...]:
    cells = [*_shares(each.cpu), *_shares(each.redis)]
    return (f"{each.nodes}", each.title, *cells, *_bytes(each.wire), f"{each.others:.0%}")


def _shares(pair: Pair) -> tuple[str, str, str]:
    return f"{pair.predicted:.1%}", f"{pair.measured:.1%}", f"{pair.error:+.0%}"


def _bytes(pair: Pair) -> tuple[str, str, str]:
    return f"{pair.predicted:,.0f}", f"{pair.measured:,.0f}", f"{pair.error:+.0%}"


def _under_load(figures: Figures) -> str:
    rows = table(
        ("2 nodes, many under way", "nodes: one alone, µs", "measured", "Redis: one alone, µs", "measured"),
        [_load_row(figures.costs, each) for each in figures.under_load],
    )
    return f"{rows}\n\n{notes.joined(figures)}"


def _load_row(costs: Costs, each: UnderLoad) -> tuple[str, ...]:
    alone, redis = nodes_cost(costs, each.message), redis_cost(costs, each.message)
    return each.title, f"{alone:,.0f}", f"{each.nodes:,.1f}", f"{redis:,.0f}", f"{each.redis:,.2f}"


def _redis_rows(redis: Mapping[str, RedisCosts]) -> list[tuple[str, ...]]:
    return [(name, *(f"{value:.2f}" for value in each)) for name, each in redis.items()]


def _full(figures: Figures) -> str:
    rows = table(
        ("nodes that listen", "messages a second, alone", "together"),
        [_full_row(figures.main_redis, count) for count in LISTENING],
    )
    return f"{notes.full(figures)}\n\n{rows}"


def _full_row(redis: RedisCosts, listening: int) -> tuple[str, ...]:
    alone = redis.publish + listening * redis.forward
    return f"{listening}", f"{most_published(alone):,.0f}", f"{most_published(busy_publish(redis, listening)):,.0f}"


def _idle(figures: Figures) -> str:
    return table(
        ("nodes", "messages to each, a second", "each node: model", "measured", "Redis: model", "measured"),
        [_idle_row(figures.costs, nodes, each) for nodes, each in figures.idle.items()],
    )


def _idle_row(costs: Costs, nodes: int, measured: Shares) -> tuple[str, ...]:
    model = idle_shares(costs, nodes)
    of_node = f"{model.nodes / nodes:.2%}", f"{measured.nodes / nodes:.2%}"
    return f"{nodes}", f"{member_traffic(nodes).received:.0f}", *of_node, f"{model.redis:.2%}", f"{measured.redis:.2%}"


def _beats_row(each: Beats, *, often: bool) -> tuple[str, ...]:
    title = f"{each.nodes}, each beating twice a second" if often else f"{each.nodes}"
    model = (old_member_traffic if often else member_traffic)(each.nodes).received
    return title, f"{model:.0f}", f"{each.received:.0f}", f"{each.cpu:.1f}", f"{each.share:.2%}"


def _members(figures: Figures) -> str:
    rows = []
    for nodes in MEMBERS:
        old = _member_row(f"{nodes:,}, each beating twice a second", figures, old_member_traffic(nodes))
        rows += [old, _member_row(f"{nodes:,}", figures, member_traffic(nodes))]
    head = ("members", "messages to each node, a second", "of its core", "from each Redis, a second", "of its core")
    return f"{table(head, rows)}\n\n{notes.members(figures)}"


def _member_row(title: str, figures: Figures, traffic: MemberTraffic) -> tuple[str, ...]:
    return (
        title,
        f"{traffic.received:,.0f}",
        f"{traffic.received * figures.costs.beat / 1e6:.1%}",
        f"{traffic.forwarded:,.0f}",
        f"{membership_of_redis(figures.main_redis, traffic):.1%}",
    )


def _million(figures: Figures) -> str:
    rows = table(
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
        [_plan_row(figures.costs, figures.main_redis, plan) for plan in PLANS],
    )
    return f"{rows}\n\n{notes.million(figures)}"


def _plan_row(costs: Costs, redis: RedisCosts, plan: Plan) -> tuple[str, ...]:
    projected = project(costs, redis, plan)
    return (
        f"{plan.nodes:,}",
        f"{plan.connections // plan.nodes:,}",
        f"{projected.listening}",
        f"{projected.node:.0%}",
        f"{projected.node_members:.1%}",
        f"{projected.redis:.2f}",
        f"{projected.redis_members:.1%}",
        "no number is enough" if projected.redis_needed is None else f"{projected.redis_needed}",
        f"{projected.redis_out / 1e6:,.0f} MB/s",
        f"{projected.clients_out / 1e6:,.1f} MB/s",
    )
