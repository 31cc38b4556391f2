from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core.codecs import JSON
from crosswire.core.event_policies import (
    MAX_HEADS,
    EventPolicies,
    EventPolicy,
    MessagePolicy,
    event_policy,
    given_policy,
)
from crosswire.core.messages import EventMessage
from crosswire.core.names import MAX_KEPT_NAME
from crosswire.errors import ConfigError, InvalidPayload, UsageError


@dataclass
class Price:
    item: str


class Renamed(msgspec.Struct, rename="camel"):
    item_id: int


@pytest.mark.parametrize("name", ["close", "drop-oldest", "drop-newest", "latest", "volatile"])
def test_every_policy_can_be_declared_and_replaced(name: Any) -> None:
    policies = EventPolicies()
    policies.declare("price", "volatile", None)
    policies.declare("price", name, None)
    expected = None if name == "close" else MessagePolicy(name, "price")
    assert policies.of_message("price", {"item": 1}, None) == expected
    assert ("price" in policies.declared) == (name != "close")


@pytest.mark.parametrize(
    ("name", "key", "text"),
    [
        ("newest", None, "give one of"),
        ("drop-oldes", None, "Did you mean 'drop-oldest'"),
        (["latest"], None, "give one of"),
        ("volatile", "item", "only the policy"),
        ("latest", "", "name of a field"),
        ("latest", 3, "name of a field"),
    ],
)
def test_misuse_raises_at_once(name: Any, key: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        EventPolicies().declare("price", name, key)
    with pytest.raises(UsageError, match=text):
        event_policy(name, key)


@pytest.mark.parametrize("event", ["", "$ready", 3])
def test_an_event_that_nobody_can_send_has_no_policy(event: Any) -> None:
    with pytest.raises(UsageError):
        EventPolicies().declare(event, "volatile", None)
    with pytest.raises(UsageError):
        EventPolicies().declare(event, "close", None)


def test_a_key_without_a_policy_is_refused() -> None:
    assert given_policy(None, None) is None
    assert given_policy("latest", "item") == EventPolicy("latest", "item")
    with pytest.raises(UsageError, match="without a policy"):
        given_policy(None, "item")


@pytest.mark.parametrize(
    ("data", "field", "key"),
    [
        ({"item": "apple"}, "item", '"apple"'),
        ({"item": 1}, "item", "1"),
        ({"item": "1"}, "item", '"1"'),
        ({"item": None}, "item", "null"),
        ({"item": datetime.date(2026, 1, 2)}, "item", '"2026-01-02"'),
        (Price("apple"), "item", '"apple"'),
        (Renamed(7), "itemId", "7"),
        (msgspec.Raw(b'{"item": [], "n": 2}'), "n", "2"),
    ],
)
def test_the_key_is_the_value_of_a_field_as_clients_see_it(data: Any, field: str, key: str) -> None:
    policies = EventPolicies()
    policies.declare("price", "latest", field)
    assert policies.of_message("price", data, None) == MessagePolicy("latest", "price", key)


@pytest.mark.parametrize("data", [{}, {"item": [1]}, {"item": {"a": 1}}, None, "item", ["item"], {"other": 1}])
def test_data_without_the_key_is_refused(data: Any) -> None:
    with pytest.raises(InvalidPayload, match="'item'"):
        EventPolicies().of_message("price", data, EventPolicy("latest", "item"))


def test_a_given_policy_counts_more_than_the_declared_one() -> None:
    policies = EventPolicies()
    policies.declare("price", "latest", "item")
    assert policies.of_message("price", {}, EventPolicy("volatile")) == MessagePolicy("volatile", "price")
    assert policies.of_message("price", {}, EventPolicy("close")) is None
    assert policies.of_message("price", {}, MessagePolicy("latest", "price", "1")) == MessagePolicy(
        "latest", "price", "1"
    )
    assert policies.of_message("other", {}, None) is None


@given(
    st.text(max_size=MAX_KEPT_NAME), st.recursive(st.none() | st.text() | st.integers(-(2**63), 2**63 - 1), st.lists)
)
def test_the_head_of_an_event_and_data_make_a_message(event: str, data: Any) -> None:
    policies = EventPolicies()
    policies.keep_head(event)
    assert policies.heads[event] + JSON.encode(data) + b"}" == JSON.encode(EventMessage(event, data))


def test_an_event_with_a_policy_has_no_head() -> None:
    policies = EventPolicies()
    policies.keep_head("price")
    policies.declare("price", "volatile", None)
    policies.keep_head("price")
    assert not policies.heads
    policies.declare("price", "close", None)
    policies.keep_head("price")
    assert policies.heads.keys() == {"price"}


def test_only_so_many_heads_are_kept() -> None:
    policies = EventPolicies()
    for number in range(MAX_HEADS + 2):
        policies.keep_head(f"{number}")
    policies.keep_head("x" * (MAX_KEPT_NAME + 1))
    assert policies.heads.keys() == {f"{MAX_HEADS}", f"{MAX_HEADS + 1}"}
