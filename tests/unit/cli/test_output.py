from __future__ import annotations

import datetime
import json
import time

import msgspec
import pytest

from crosswire.cli.output import (
    as_json,
    cluster_as_data,
    cluster_as_text,
    duration,
    listing,
    locations_as_data,
    replies_as_data,
    rooms_as_data,
    table,
)
from crosswire.errors import EventError
from crosswire.types import LinkStatus, Locations, NodeInfo, Replies, RoomInfo, RoomList

UP = LinkStatus("redis://a:6379", True, 0.25, None, True, True)
DOWN = LinkStatus("redis://b:6379", False, None, "refused", False, False)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (0.9, "0s"),
        (8, "8s"),
        (60, "1m 0s"),
        (310, "5m 10s"),
        (3_600, "1h 0m"),
        (7_325, "2h 2m"),
        (183_600, "2d 3h"),
        (172_801, "2d 0h"),
    ],
)
def test_durations_have_their_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_columns_are_as_wide_as_they_need_be() -> None:
    assert table(("A", "LONG HEAD"), [("value", "x"), ("v", "")]) == "A      LONG HEAD\nvalue  x\nv"


def test_a_table_has_no_control_characters() -> None:
    assert table(("A",), [("\x1b[31mred\n",)]).splitlines() == ["A", "\ufffd[31mred\ufffd"]


def test_json_for_a_terminal_has_no_control_characters() -> None:
    name = "\x1b]0;x\x07\x9b31m\u2028\u202e\U000e0001 Ä"
    text = as_json({"user": name})
    assert text.isprintable()
    assert "Ä" in text
    assert json.loads(text) == {"user": name}


def test_a_cluster_is_two_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1065.5)
    text = cluster_as_text([NodeInfo("web-1", "abc", 1000.0, 3)], [UP, DOWN])
    assert [line.split() for line in text.splitlines()] == [
        ["NODE", "CONNECTIONS", "UP", "INCARNATION"],
        ["web-1", "3", "1m", "5s", "abc"],
        [],
        ["REDIS", "HEALTH", "LATENCY", "LAST", "ERROR"],
        ["redis://a:6379", "healthy", "0.2", "ms"],
        ["redis://b:6379", "DOWN", "refused"],
    ]


def test_an_empty_cluster_is_shown_as_none() -> None:
    assert "(none)" in cluster_as_text([], [UP])


def test_a_cluster_is_json_too() -> None:
    shown = json.loads(as_json(cluster_as_data([NodeInfo("web-1", "abc", 5.0, 3)], [DOWN])))
    assert shown == {
        "nodes": [{"name": "web-1", "incarnation": "abc", "since": 5.0, "connections": 3}],
        "redis": [
            {
                "url": "redis://b:6379",
                "healthy": False,
                "latency": None,
                "last_error": "refused",
                "publisher": False,
                "subscriber": False,
            }
        ],
    }


def test_replies_tell_who_answered_refused_and_is_missing() -> None:
    replies = Replies({"a": None}, errors={"b": EventError("full", "no more")}, missing=["c"])
    assert replies_as_data(replies) == {
        "answers": {"a": None},
        "errors": {"b": {"code": "full", "message": "no more"}},
        "missing": ["c"],
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"ä": [1, None]}, '{"ä":[1,null]}'),
        (b"\x00", '"AA=="'),
        ({1: True}, '{"1":true}'),
        (datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), '"2026-01-02T00:00:00Z"'),
    ],
)
def test_all_messagepack_values_have_a_json_form(value: object, text: str) -> None:
    assert as_json(value) == text


def test_an_extension_type_becomes_a_string() -> None:
    assert isinstance(json.loads(as_json(msgspec.msgpack.Ext(5, b"x"))), str)


# Lists


@pytest.mark.parametrize(
    ("rows", "total", "bound", "text"),
    [
        (0, 0, "", "0 users"),
        (1, 1, "", "USER\nx\n\n1 user"),
        (2, 2, "", "USER\nx\nx\n\n2 users"),
        (1, 7, "", "USER\nx\n\n1 of 7 users; --limit N shows more"),
        (1, 7, "at least", "USER\nx\n\n1 of at least 7 users; --limit N shows more"),
    ],
)
def test_a_listing_ends_with_the_number_of_all(rows: int, total: int, bound: str, text: str) -> None:
    assert listing(("USER",), [("x",)] * rows, "user", total, bound) == text


def test_locations_are_json_too() -> None:
    found = Locations({"1": {"a": 2, "b": 1}}, 9, exact=False, missing=("c",))
    assert json.loads(as_json(locations_as_data(found))) == {
        "users": [{"user": "1", "nodes": {"a": 2, "b": 1}}],
        "total": 9,
        "exact": False,
        "missing": ["c"],
    }


def test_rooms_are_json_too() -> None:
    found = RoomList((RoomInfo("chat", "1", {"a": 2, "b": 1}),), 9, exact=False, missing=("c",))
    assert json.loads(as_json(rooms_as_data(found))) == {
        "rooms": [{"namespace": "chat", "id": "1", "nodes": {"a": 2, "b": 1}, "members": 3}],
        "total": 9,
        "exact": False,
        "missing": ["c"],
    }
