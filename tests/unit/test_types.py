from __future__ import annotations

import dataclasses
from math import inf, nan
from typing import Any

import pytest

from crosswire.errors import ConfigError, EventError
from crosswire.types import FINAL_CLOSE_CODES, Close, CloseCode, Heartbeat, Limits, Replies, Reply, Roster, Tally

LIMITS = [field.name for field in dataclasses.fields(Limits)]
SECONDS = [name for name in LIMITS if name.endswith("_timeout") or name == "linger"]
COUNTS = [name for name in LIMITS if name not in SECONDS]
NO_NUMBERS: list[Any] = [0, -1, nan, inf, -inf, True, "10", None, [1]]


def test_a_close_without_a_reason_has_an_empty_one() -> None:
    assert Close(4011) == (4011, "")


def test_the_codes_that_keep_a_client_away() -> None:
    assert {int(code) for code in FINAL_CLOSE_CODES} == {1008, 4001, 4010, 4011, 4012}
    assert CloseCode.GOING_AWAY not in FINAL_CLOSE_CODES


def test_limits_are_what_the_design_says() -> None:
    limits = Limits()
    assert (limits.max_message, limits.outbox, limits.rooms, limits.connections) == (1 << 20, 1 << 20, 100, None)
    assert (limits.handshake_timeout, limits.auth_timeout, limits.linger) == (10, 10, 5)


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", NO_NUMBERS)
def test_limits_refuse_what_is_no_limit(name: str, value: Any) -> None:
    if (name, value) == ("connections", None):
        assert Limits(connections=None).connections is None
        return
    with pytest.raises(ConfigError, match=f"{name}="):
        Limits(**{name: value})


@pytest.mark.parametrize("name", COUNTS)
def test_counts_and_sizes_are_whole_numbers(name: str) -> None:
    with pytest.raises(ConfigError, match="whole number"):
        Limits(**{name: 1.5})  # type: ignore[arg-type]
    least = {"headers": 5, "header_size": 256}.get(name, 1)
    assert getattr(Limits(**{name: least}), name) == least


@pytest.mark.parametrize("name", SECONDS)
def test_times_may_be_fractions(name: str) -> None:
    assert getattr(Limits(**{name: 0.5}), name) == 0.5  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["interval", "timeout", "background"])
@pytest.mark.parametrize("value", NO_NUMBERS)
def test_a_heartbeat_refuses_what_is_no_time(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name}="):
        Heartbeat(**{name: value})


def test_a_heartbeats_text_is_a_string() -> None:
    with pytest.raises(ConfigError, match="text="):
        Heartbeat(text=None)  # type: ignore[arg-type]
    assert Heartbeat(text="ping").text == "ping"


def test_replies_are_a_mapping_in_which_none_is_an_answer() -> None:
    replies = Replies({"1": None, "2": 5})
    assert replies == {"1": None, "2": 5}
    assert "1" in replies
    assert len(replies) == 2
    assert list(replies) == ["1", "2"]


def test_replies_without_a_missing_name_are_complete() -> None:
    refused = EventError("full")
    replies = Replies({"1": 1}, errors={"2": refused})
    assert replies.complete
    assert replies.errors == {"2": refused}
    assert "2" not in replies


def test_replies_with_a_missing_name_are_incomplete() -> None:
    replies = Replies({"1": 1}, missing=["2", "3"])
    assert not replies.complete
    assert replies.missing == ("2", "3")
    with pytest.raises(KeyError):
        replies["2"]


def test_replies_keep_a_copy() -> None:
    answers = {"1": 1}
    replies = Replies(answers)
    answers["2"] = 2
    assert dict(replies) == {"1": 1}


def test_replies_show_all_they_hold() -> None:
    assert repr(Replies({"1": 2}, missing=["3"])) == "Replies({'1': 2}, errors={}, missing=('3',))"


def test_a_reply_is_an_answer_or_a_refusal() -> None:
    assert (Reply("1", 5).data, Reply("1", 5).error) == (5, None)
    refused = EventError("full")
    assert (Reply("1", error=refused).data, Reply("1", error=refused).error) == (None, refused)


def test_a_tally_is_an_int_that_tells_who_is_missing() -> None:
    tally = Tally(3, ["b"])
    assert tally + 1 == 4
    assert type(tally.total) is int
    assert (tally.total, tally.missing) == (3, ("b",))
    assert repr(tally) == "Tally(3, missing=('b',))"
    assert f"{tally} of {tally:02d}" == "3 of 03"


def test_a_roster_is_about_its_users() -> None:
    roster = Roster(frozenset({"1", "2"}), ("b",))
    assert set(roster) == {"1", "2"}
    assert len(roster) == 2
    assert "1" in roster
    assert "b" not in roster
    assert not Roster()


@pytest.mark.parametrize(("name", "value"), [("headers", 4), ("header_size", 255)])
def test_limits_under_which_no_websocket_could_open(name: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"{name}={value}.*or more"):
        Limits(**{name: value})


def test_a_heartbeat_that_cannot_be_sent() -> None:
    with pytest.raises(ConfigError, match="surrogate"):
        Heartbeat(text="\ud83d")
