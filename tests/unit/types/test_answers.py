"""Answers of many."""

from __future__ import annotations

import pytest

from crosswire.errors import EventError
from crosswire.types import Replies, Reply, Tally


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


def test_a_tally_is_an_int_with_the_missing_names() -> None:
    tally = Tally(3, ["b"])
    assert tally + 1 == 4
    assert type(tally.total) is int
    assert (tally.total, tally.missing) == (3, ("b",))
    assert repr(tally) == "Tally(3, missing=('b',))"
    assert f"{tally} of {tally:02d}" == "3 of 03"
