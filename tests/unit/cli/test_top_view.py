from __future__ import annotations

import pytest

from crosswire.cli.top_data import NodeRow, RedisRow
from crosswire.cli.top_view import picture, rate
from crosswire.types import NodeStatus

A = NodeRow("a", NodeStatus(incarnation="1", uptime=65.0, connections=3, users=2, rooms=1, gaps=4), 25.0, 1234.5)
SILENT = NodeRow("b", None, None, None)
UP = RedisRow("redis://a", 2, 2, 0.25, None)
DOWN = RedisRow("redis://b", 0, 2, None, "refused")


def test_nodes_and_redis_are_tables_below_a_headline() -> None:
    assert picture([A, SILENT], [UP, DOWN]) == [
        "2 nodes, 3 connections, 2 users, 25/s in, 1234/s out",
        "",
        "NODE  UP         CONNECTIONS  USERS  ROOMS  IN/S  OUT/S  GAPS  DROPPED  REFUSED",
        "a     1m 5s      3            2      1      25    1234   4     0        0",
        "b     no answer",
        "",
        "REDIS      HEALTHY          LATENCY  LAST ERROR",
        "redis://a  on 2 of 2 nodes  0.2 ms",
        "redis://b  DOWN                      refused",
    ]


def test_a_cluster_without_nodes_says_so() -> None:
    lines = picture([], [])
    assert lines[0] == "0 nodes, 0 connections, 0 users, 0/s in, 0/s out"
    assert lines[3:] == ["(none)"]


@pytest.mark.parametrize(("height", "nodes"), [(30, 20), (23, 16), (10, 3), (8, 1), (1, 0)])
def test_nodes_that_do_not_fit_are_counted(height: int, nodes: int) -> None:
    rows = [A._replace(name=f"node-{number:02}") for number in range(20)]
    lines = picture(rows, [UP], height)
    assert sum(line.startswith("node-") for line in lines) == nodes
    assert len(lines) <= max(height, 7)
    assert lines[-1].startswith("redis://a")
    if nodes < 20:
        assert f"... and {20 - nodes} more" in lines


@pytest.mark.parametrize(
    ("per_second", "text"),
    [(None, "-"), (0.0, "0"), (0.04, "0.0"), (0.5, "0.5"), (9.94, "9.9"), (9.96, "10"), (1234.4, "1234")],
)
def test_a_rate_has_a_decimal_if_it_is_small(per_second: float | None, text: str) -> None:
    assert rate(per_second) == text
