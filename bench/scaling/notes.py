"""The sentences that `python -m bench.scaling` prints with its tables, so that no figure of the page is set by hand."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

from bench.scaling.comparison import GOOD, Compared, repetition, verdict
from bench.scaling.figures import Figures
from bench.scaling.memory import Memory
from bench.scaling.model import member_traffic, nodes_cost, old_member_traffic, redis_cost, redis_member_cost
from bench.scaling.projection import FULL, PLANS, Plan, Projection, membership_of_redis, project

WIDTH = 120
"""Characters of a line of text."""
LARGE = 1000
"""Members of the cluster whose beats are put into words."""
BUSIER = 10
"""Times as many messages, for which the number of Redis is said too."""


def paragraph(text: str) -> str:
    """Return lines of text."""
    return fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def bullet(text: str) -> str:
    """Return an item of a list."""
    return fill(f"- {text}", WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def machine(figures: Figures) -> str:
    """Say when and on which machine it was measured."""
    found = ", ".join(f"{name} {value}" for name, value in figures.machine.items())
    return paragraph(f"Measured on {figures.date}: {found}.")


def verdict_of(compared: Sequence[Compared]) -> str:
    """Say how good the predictions are, and how well runs predict their own repetition."""
    found = verdict(compared)
    nodes = repetition([each.cpu_runs for each in compared])
    redis = repetition([each.redis_runs for each in compared])
    good = paragraph(
        f"Of {found.total} predictions {found.good} are within {GOOD:.0%}: the CPU of the nodes is off by "
        f"{found.cpu:.0%} at most, that of Redis by {found.redis:.0%}, the bytes by {found.wire:.0%}."
    )
    repeated = paragraph(
        f"So well do runs predict their own repetition: nine of ten runs are within {nodes.run:.0%} of the median of "
        f"their kind for the nodes, and {redis.run:.0%} for Redis; and nine of ten medians of every other run are "
        f"within {nodes.half:.0%} and {redis.half:.0%} of that of the rest."
    )
    return f"{good}\n\n{repeated}"


def joined(figures: Figures) -> str:
    """Say by which factors messages are cheaper that are joined."""
    nodes, redis = saved_by_nodes(figures), saved_by_redis(figures)
    return paragraph(
        f"So a message costs the nodes {min(nodes):.1f} to {max(nodes):.1f} times less where it is joined with "
        f"others, and Redis {min(redis):.1f} to {max(redis):.1f} times less."
    )


def saved_by_nodes(figures: Figures) -> list[float]:
    """Return by which factor a message costs the nodes less, in the runs with many under way."""
    return [nodes_cost(figures.costs, each.message) / each.nodes for each in figures.under_load]


def saved_by_redis(figures: Figures) -> list[float]:
    """Return the same for Redis."""
    return [redis_cost(figures.costs, each.message) / each.redis for each in figures.under_load]


def full(figures: Figures) -> str:
    """Say what the table of a full Redis shows."""
    return paragraph(f"Messages a second with which {figures.main_redis_name} uses {FULL:.0%} of its core:")


def members(figures: Figures) -> str:
    """Say what the beats of a large cluster would cost each Redis, and what they do."""
    redis, square = figures.main_redis, old_member_traffic(LARGE)
    together, now = membership_of_redis(redis, square), membership_of_redis(redis, member_traffic(LARGE))
    alone = redis_member_cost(square, redis.publish, redis.forward)
    return paragraph(
        f"So beats of {LARGE:,} members, twice a second each, would take {together:.0%} of the core of each Redis, "
        f"all of them alike, at the cost of messages that are joined, and {alone:.1f} cores at that of one at a time. "
        f"As members do beat, they take {now:.0%}."
    )


def memory(found: Memory) -> str:
    """Say what connections take."""
    many = 20_000
    return paragraph(
        f"A node takes {found.node / 1e6:.0f} MB, and each idle connection in a room {found.connection:,.0f} bytes "
        f"more: {many:,} of them {many * found.connection / 1e6:.0f} MB."
    )


def million(figures: Figures) -> str:
    """Say what the table of the plans shows."""
    costs, redis = figures.costs, figures.main_redis
    projected = [(plan, project(costs, redis, plan)) for plan in PLANS]
    busy = project(costs, redis, busier(PLANS[2]))
    return "\n".join(
        bullet(text)
        for text in (
            _of_nodes(figures, projected),
            _of_redis(projected, busy),
            _of_many_nodes(projected),
            _of_bandwidth(projected),
        )
    )


def busier(plan: Plan) -> Plan:
    """Return a plan with many more messages."""
    return plan._replace(to_rooms=BUSIER * plan.to_rooms, to_users=BUSIER * plan.to_users)


def _of_nodes(figures: Figures, projected: Sequence[tuple[Plan, Projection]]) -> str:
    few = [f"{plan.nodes:,}" for plan, each in projected if each.node > FULL]
    enough = [f"{plan.nodes:,}" for plan, each in projected if each.node <= FULL]
    plan, each = projected[1]
    received = (plan.to_rooms * each.listening + plan.to_users) / plan.nodes
    factors = saved_by_nodes(figures)
    joined_share = [each.node / factor for factor in (max(factors), min(factors))]
    return (
        f"**Nodes.** A core of a node should not be used for more than {FULL:.0%}. If every message travels alone, "
        f"too few of these are: {', '.join(few) or 'none'}; enough are: {', '.join(enough) or 'none'}. But each of "
        f"{plan.nodes} nodes receives {received:,.0f} messages a second; it is awake all the time, and takes many in "
        f"a turn. Divided by what that saves [under load](#under-load), its {each.node:.0%} are {joined_share[0]:.0%} "
        f"to {joined_share[1]:.0%}. Its {plan.connections // plan.nodes:,} connections take "
        f"{plan.connections / plan.nodes * figures.memory.connection / 1e6:.0f} MB while they are idle."
    )


def _of_redis(projected: Sequence[tuple[Plan, Projection]], busy: Projection) -> str:
    (few, first), (many, last) = projected[0], projected[-1]
    most = max(each.redis_needed or 0 for _, each in projected)
    return (
        f"**Redis.** Messages take {first.redis:.2f} of a core with {few.nodes} nodes and {last.redis:.2f} with "
        f"{many.nodes:,}, so {_redis(most)} needed, and one more if one of them may fail. With {BUSIER} times the "
        f"messages and {PLANS[2].nodes} nodes it is {busy.redis:.1f} cores, and {_redis(busy.redis_needed or 0)} "
        "needed: that is where more independent Redis help."
    )


def _redis(count: int) -> str:
    return "1 Redis is" if count == 1 else f"{count} Redis are"


def _of_many_nodes(projected: Sequence[tuple[Plan, Projection]]) -> str:
    (few, first), (many, last) = projected[0], projected[-1]
    return (
        f"**{many.nodes:,} nodes.** More nodes than the CPU needs only cost: a room of {many.members} is on "
        f"{last.listening} of {many.nodes:,}, so each message goes over the bus {last.listening} times where "
        f"{few.nodes} nodes take {first.listening}. Fewer, larger nodes are cheaper, and rooms whose members are on "
        "the same node are cheapest. A cluster has 1,001 nodes at most."
    )


def _of_bandwidth(projected: Sequence[tuple[Plan, Projection]]) -> str:
    (some, middle), (many, last) = projected[1], projected[-1]
    return (
        f"**Bandwidth.** Redis sends {middle.redis_out / 1e6:.0f} MB/s with {some.nodes} nodes and "
        f"{last.redis_out / 1e6:.0f} MB/s with {many.nodes:,}: {middle.redis_out * 8 / 1e9:.1f} and "
        f"{last.redis_out * 8 / 1e9:.1f} Gbit/s, so a network may be full long before the core of a Redis is: that is "
        f"the other reason for several. Each of {some.nodes} nodes sends its clients {middle.clients_out / 1e6:.1f} "
        "MB/s. TCP and IP add some 70 bytes to each write, which many messages share under load."
    )
