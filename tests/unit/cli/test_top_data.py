from __future__ import annotations

import json

from crosswire.cli.output import as_json
from crosswire.cli.top_data import RedisRow, as_data, node_rows, redis_rows, totals
from crosswire.types import LinkStatus, NodeStatus, Replies

BEFORE = {
    "a": NodeStatus(incarnation="1", uptime=10.0, received=100, sent=1000),
    "b": NodeStatus(incarnation="2", uptime=5.0, received=7, sent=7),
    "gone": NodeStatus(incarnation="3", uptime=5.0),
}
NOW = Replies(
    {
        "a": NodeStatus(incarnation="1", uptime=12.0, connections=3, users=2, received=150, sent=1001, gaps=1),
        "b": NodeStatus(incarnation="9", uptime=0.5, connections=4, users=4, received=1, sent=1, dropped=2, refused=3),
    },
    missing=["c"],
)


def test_rates_are_between_two_answers_of_one_run() -> None:
    a, b, c = node_rows(["c", "b", "a"], NOW, BEFORE)
    assert (a.name, a.status, a.received, a.sent) == ("a", NOW["a"], 25.0, 0.5)
    assert (b.name, b.status, b.received, b.sent) == ("b", NOW["b"], None, None)  # started again
    assert (c.name, c.status, c.received, c.sent) == ("c", None, None, None)
    first = node_rows([], NOW, {})
    assert [(row.name, row.received, row.sent) for row in first] == [("a", None, None), ("b", None, None)]
    assert [row.sent for row in node_rows([], NOW, NOW)] == [None, None]  # no time has passed


def test_totals_leave_out_who_did_not_answer() -> None:
    assert totals(node_rows("abc", NOW, BEFORE)) == {
        "connections": 7,
        "users": 6,
        "received_per_second": 25.0,
        "sent_per_second": 0.5,
        "gaps": 1,
        "dropped": 2,
        "refused": 3,
    }


def link(url: str, latency: float | None, error: str | None = None) -> LinkStatus:
    return LinkStatus(url, error is None, latency, error, error is None, error is None)


def test_a_redis_is_summed_up_over_the_nodes() -> None:
    nodes = [
        [link("redis://b", 1.0), link("redis://a", 3.0, "refused")],
        [link("redis://b", 2.0)],
        [link("redis://b", 9.0), link("redis://a", 4.0)],
        [],
    ]
    assert redis_rows(nodes) == [
        RedisRow("redis://a", 1, 2, 4.0, "refused"),
        RedisRow("redis://b", 3, 3, 2.0, None),
    ]
    assert redis_rows([[link("redis://a", 1.0, "gone")]]) == [RedisRow("redis://a", 0, 1, None, "gone")]


def test_everything_is_json_too() -> None:
    shown = json.loads(as_json(as_data(node_rows("ac", NOW, BEFORE), [RedisRow("redis://a", 1, 2, 0.5, None)])))
    a = shown["nodes"][0]
    assert a == {
        "name": "a",
        "incarnation": "1",
        "uptime": 12.0,
        "connections": 3,
        "users": 2,
        "rooms": 0,
        "received": 150,
        "sent": 1001,
        "received_per_second": 25.0,
        "sent_per_second": 0.5,
        "gaps": 1,
        "dropped": 0,
        "refused": 0,
    }
    assert shown["nodes"][1]["sent_per_second"] is None
    assert (shown["missing"], shown["totals"]["connections"]) == (["c"], 7)
    assert shown["redis"] == [{"url": "redis://a", "healthy": 1, "nodes": 2, "latency": 0.5, "last_error": None}]
