"""The picture that ``crosswire top`` shows, as lines of text."""

from __future__ import annotations

from crosswire.cli.output import duration, table
from crosswire.cli.top_data import NodeRow, RedisRow, totals

_HEAD = ("NODE", "UP", "CONNECTIONS", "USERS", "ROOMS", "IN/S", "OUT/S", "GAPS", "DROPPED", "REFUSED")
_REDIS_HEAD = ("REDIS", "HEALTHY", "LATENCY", "LAST ERROR")


def picture(nodes: list[NodeRow], redis: list[RedisRow], height: int | None = None) -> list[str]:
    """Return a headline and two tables.

    Args:
        nodes: a row for each node.
        redis: a row for each Redis.
        height: number of lines that there is room for; nodes that do not fit are left out and counted. None: any.
    """
    below = ["", *table(_REDIS_HEAD, [_redis_cells(row) for row in redis]).splitlines()] if redis else []
    lines = table(_HEAD, [_node_cells(row) for row in nodes] or [("(none)", *[""] * (len(_HEAD) - 1))]).splitlines()
    if height is not None:
        room = max(height - len(below) - 2, 2)  # 2: the headline and an empty line
        if len(lines) > room:
            lines = [*lines[: room - 1], f"... and {len(lines) - room + 1} more"]
    return [_headline(nodes), "", *lines, *below]


def _headline(nodes: list[NodeRow]) -> str:
    sums = totals(nodes)
    rates = f"{rate(sums['received_per_second'])}/s in, {rate(sums['sent_per_second'])}/s out"
    parts = [_counted(len(nodes), "node"), _counted(int(sums["connections"]), "connection")]
    return ", ".join((*parts, _counted(int(sums["users"]), "user"), rates))


def rate(per_second: float | None) -> str:
    """Return a rate: with a decimal below 10, and as "-" if it is not known."""
    if per_second is None:
        return "-"
    return f"{per_second:.1f}" if 0 < per_second < 9.95 else f"{per_second:.0f}"


def _node_cells(row: NodeRow) -> tuple[str, ...]:
    status = row.status
    if status is None:
        return (row.name, "no answer", *[""] * (len(_HEAD) - 2))
    counts = (status.connections, status.users, status.rooms)
    losses = (status.gaps, status.dropped, status.refused)
    rates = (rate(row.received), rate(row.sent))
    return (row.name, duration(status.uptime), *map(str, counts), *rates, *map(str, losses))


def _redis_cells(row: RedisRow) -> tuple[str, ...]:
    healthy = "DOWN" if not row.healthy else f"on {row.healthy} of {_counted(row.nodes, 'node')}"
    latency = "" if row.latency is None else f"{row.latency:.1f} ms"
    return (row.url, healthy, latency, row.last_error or "")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
