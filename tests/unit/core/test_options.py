from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from crosswire.core import options
from crosswire.core.options import (
    MAX_CHECKED,
    MAX_NODE_NAME,
    MAX_SECONDS,
    require_bool,
    require_call,
    require_count,
    require_drain,
    require_rate,
    require_seconds,
    require_timeout,
)
from crosswire.errors import ConfigError, UsageError

HUGE = [1e308, 10**400, MAX_SECONDS + 1]


@pytest.mark.parametrize("value", HUGE)
def test_more_seconds_than_a_century_are_refused_as_an_option_and_endless_for_a_call(value: float) -> None:
    with pytest.raises(ConfigError, match=r"probe=.*: give a number of seconds greater than 0"):
        require_seconds("probe", value)
    assert require_seconds("probe", MAX_SECONDS) == MAX_SECONDS
    assert (require_timeout(value), require_drain(value)) == (inf, inf)


def test_a_rate_may_be_as_high_as_a_float() -> None:
    assert (require_rate("rate", 0.1), require_rate("rate", 1e308)) == (0.1, 1e308)
    for value in (0, -1, nan, inf, 10**400, True, "5", None):
        with pytest.raises(ConfigError, match=r"rate=.*: give a number above 0: how many a second$"):
            require_rate("rate", value)


@pytest.mark.parametrize("value", [0.001, 5, 86400])
def test_seconds_are_finite_and_over_zero(value: float) -> None:
    assert require_seconds("probe", value) == value


@pytest.mark.parametrize("value", [0, 0.0, -1, nan, inf, -inf, True, "5", None, [1]])
def test_an_invalid_number_of_seconds_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"probe=.*: give a number of seconds greater than 0$"):
        require_seconds("probe", value)


@pytest.mark.parametrize("value", [MAX_SECONDS + 1, 1e308, 10**400, inf])
def test_more_than_a_century_is_endless_where_that_makes_sense(value: float) -> None:
    assert require_seconds("wait", value, endless=True) == inf
    for refused in (0, -1, nan, -inf, True, "5", None):
        with pytest.raises(ConfigError, match=r"wait=.*: give a number of seconds greater than 0$"):
            require_seconds("wait", refused, endless=True)


def test_zero_seconds_are_allowed_where_they_make_sense() -> None:
    assert require_seconds("pause", 0, zero=True) == 0
    for value in (-1, nan, inf, False, None):
        with pytest.raises(ConfigError, match=r"pause=.*: give a number of seconds, 0 or more$"):
            require_seconds("pause", value, zero=True)


@pytest.mark.parametrize("value", [0, -1, 1.0, nan, True, "5", None])
def test_an_invalid_count_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"rooms=.*: give a whole number greater than 0$"):
        require_count("rooms", value)


def test_a_count_of_zero_is_allowed_where_it_makes_sense() -> None:
    assert (require_count("retries", 0, zero=True), require_count("retries", 1)) == (0, 1)
    for value in (-1, False, 0.0):
        with pytest.raises(ConfigError, match=r"retries=.*: give a whole number, 0 or more$"):
            require_count("retries", value, zero=True)


def test_an_option_of_a_class_is_shown_as_it_is_written() -> None:
    with pytest.raises(ConfigError, match=r"^Redis\(compat='yes'\): give True or False"):
        require_bool("Redis(compat)", "yes")


@pytest.mark.parametrize("value", [0.001, 5, 86400, inf])
def test_a_timeout_is_any_number_over_zero(value: float) -> None:
    assert require_timeout(value) == value


@pytest.mark.parametrize("value", [0, -1, nan, True, "5", None])
def test_an_invalid_timeout_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="a timeout is a number of seconds"):
        require_timeout(value)


@pytest.mark.parametrize("call", [("a", "x", 5), ("é", "ö", 0.1), ("a", "x", inf)])
def test_a_call_names_a_node_and_an_event(call: tuple[str, str, float]) -> None:
    require_call(*call)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (("", "x", 5), "a node's name must not be empty"),
        ((1, "x", 5), "a node's name must be a string"),
        (("a", "", 5), "an event's name must not be empty"),
        (("a", ["x"], 5), "an event's name must be a string"),
        (("a", "$x", 5), "is reserved"),
        (("a", "\ud800", 5), "half of a surrogate pair"),
        (("a", "x", 0), "a timeout is a number"),
        (("a", "x", True), "a timeout is a number"),
    ],
)
def test_a_call_with_an_invalid_argument_is_refused(call: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        require_call(*call)


def test_names_that_were_checked_are_remembered_up_to_a_limit() -> None:
    for number in range(MAX_CHECKED + 5):
        require_call(f"node {number}", f"event {number}", 5)
        require_call("x" * 10_000 + str(number), "y" * 10_000 + str(number), 5)
    for checked in (options._CHECKED_NODES, options._CHECKED_EVENTS):
        assert 5 <= len(checked) <= MAX_CHECKED
        assert max(map(len, checked)) <= MAX_NODE_NAME
    last = MAX_CHECKED + 4
    node, event = f"node {last}", f"event {last}"
    invalid: list[Any] = [(node, event, True), (node, event, nan), (node, "$event", 5), ([], event, 5)]
    for call in invalid:
        with pytest.raises(UsageError):
            require_call(*call)


@pytest.mark.parametrize("value", [-1, nan, -inf, True, "5", None])
def test_an_invalid_time_for_a_drain_is_refused(value: Any) -> None:
    assert (require_drain(0), require_drain(2.5), require_drain(inf)) == (0, 2.5, inf)
    with pytest.raises(UsageError, match="drain is a number of seconds, 0 or more"):
        require_drain(value)
