"""The numbers that ``crosswire top`` shows: two answers of the nodes, and the rates between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any, NamedTuple

from crosswire.types import LinkStatus, NodeStatus, Replies


class NodeRow(NamedTuple):
    """Numbers that are shown of a node.

    Attributes:
        name: of the node.
        status: its last answer; None if it did not answer.
        received: messages of clients a second; None if the answer before was none of the same run.
        sent: messages to clients a second; None as above.
    """

    name: str
    status: NodeStatus | None
    received: float | None
    sent: float | None


class RedisRow(NamedTuple):
    """Health that is shown of a Redis.

    Attributes:
        url: without the password.
        healthy: number of nodes for which it is healthy.
        nodes: number of nodes that use it.
        latency: median of the nodes' latencies, in milliseconds; None if there are none.
        last_error: of a node for which it is not healthy, or None.
    """

    url: str
    healthy: int
    nodes: int
    latency: float | None
    last_error: str | None


def node_rows(names: Iterable[str], now: Replies[NodeStatus], before: Mapping[str, NodeStatus]) -> list[NodeRow]:
    """Return a row for each node, in order of their names.

    Args:
        names: of the living nodes.
        now: their last answers.
        before: their answers before.
    """
    return [_node_row(name, now.get(name), before.get(name)) for name in sorted({*names, *now})]


def redis_rows(statuses: Iterable[Iterable[LinkStatus]]) -> list[RedisRow]:
    """Return a row for each Redis, from what each node says of it."""
    by_url: dict[str, list[LinkStatus]] = {}
    for links in statuses:
        for link in links:
            by_url.setdefault(link.url, []).append(link)
    return [_redis_row(url, links) for url, links in sorted(by_url.items())]


def totals(rows: Iterable[NodeRow]) -> dict[str, float]:
    """Return the sums of all nodes, but not of their rooms: a room may be on several nodes."""
    answered = [row for row in rows if row.status is not None]
    statuses = [row.status for row in answered if row.status is not None]
    return {
        "connections": sum(each.connections for each in statuses),
        "users": sum(each.users for each in statuses),
        "received_per_second": sum(row.received or 0.0 for row in answered),
        "sent_per_second": sum(row.sent or 0.0 for row in answered),
        "gaps": sum(each.gaps for each in statuses),
        "dropped": sum(each.dropped for each in statuses),
        "refused": sum(each.refused for each in statuses),
    }


def as_data(nodes: list[NodeRow], redis: list[RedisRow]) -> dict[str, Any]:
    """Return the rows, to be printed as JSON."""
    return {
        "nodes": [_node_as_data(row) for row in nodes if row.status is not None],
        "totals": totals(nodes),
        "redis": [row._asdict() for row in redis],
        "missing": [row.name for row in nodes if row.status is None],
    }


def _node_row(name: str, now: NodeStatus | None, before: NodeStatus | None) -> NodeRow:
    if now is None or before is None or now.incarnation != before.incarnation or now.uptime <= before.uptime:
        return NodeRow(name, now, None, None)
    seconds = now.uptime - before.uptime
    return NodeRow(name, now, (now.received - before.received) / seconds, (now.sent - before.sent) / seconds)


def _redis_row(url: str, links: list[LinkStatus]) -> RedisRow:
    latencies = [link.latency for link in links if link.healthy and link.latency is not None]
    errors = [link.last_error for link in links if not link.healthy and link.last_error]
    return RedisRow(
        url,
        sum(link.healthy for link in links),
        len(links),
        median(latencies) if latencies else None,
        errors[0] if errors else None,
    )


def _node_as_data(row: NodeRow) -> dict[str, Any]:
    status = row.status
    assert status is not None, "it has answered"
    return {
        "name": row.name,
        "incarnation": status.incarnation,
        "uptime": status.uptime,
        "connections": status.connections,
        "users": status.users,
        "rooms": status.rooms,
        "received": status.received,
        "sent": status.sent,
        "received_per_second": row.received,
        "sent_per_second": row.sent,
        "gaps": status.gaps,
        "dropped": status.dropped,
        "refused": status.refused,
    }
