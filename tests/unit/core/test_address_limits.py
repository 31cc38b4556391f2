from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosswire.core import address_limits
from crosswire.core.address_limits import BURST_TIME, AddressCounts, AddressRates, address_key


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3::4", "20010db800010002::/64"),
        ("2001:db8:1:2:ffff::", "20010db800010002::/64"),
        ("fe80::1%eth0", "fe80000000000000::/64"),
        ("_hidden", "_hidden"),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_an_address_stands_for_its_owner(address: str, key: str) -> None:
    assert address_key(address) == key


@given(st.ip_addresses(v=6), st.ip_addresses(v=6))
def test_ipv6_addresses_of_a_network_are_one(first: object, second: object) -> None:
    one, other = address_key(str(first)), address_key(str(second))
    assert (one == other) == (int(first) >> 64 == int(second) >> 64) or "." in one + other  # type: ignore[call-overload]


def test_a_burst_is_taken_at_once_and_then_as_many_as_grow() -> None:
    rates = AddressRates(2)
    assert [rates.take("a", 0) for _ in range(2 * BURST_TIME)] == [0] * 2 * BURST_TIME
    assert rates.take("a", 0) == 0.5
    assert rates.take("b", 0) == 0
    assert [rates.take("a", 1) for _ in range(3)] == [0, 0, 0.5]
    assert rates.take("a", 1.25) == 0.25
    assert rates.take("", 0) == 0


def test_a_slow_rate_still_has_one() -> None:
    rates = AddressRates(0.01)
    assert rates.take("a", 0) == 0
    assert rates.take("a", 50) == 50
    assert rates.take("a", 100) == 0


def test_idle_addresses_are_forgotten() -> None:
    rates = AddressRates(1)
    for number in range(1000):
        rates.take(f"{number}", 0)
    for number in range(1000):
        rates.take("busy", 2 + number)
    assert len(rates) <= 1


def test_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address_limits, "MAX_ADDRESSES", 100)
    rates = AddressRates(1)
    for number in range(10_000):
        rates.take(f"{number}", 0)
    assert len(rates) <= 101


def test_a_hundred_thousand_addresses_are_a_few_megabytes() -> None:
    rates = AddressRates(1)
    for number in range(200_000):
        rates.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0)
    assert len(rates) <= address_limits.MAX_ADDRESSES + 1
    each = sys.getsizeof("10.255.255.255") + sys.getsizeof(0.5) + 24
    assert sys.getsizeof(rates._due) + len(rates) * each < 30_000_000


@given(st.lists(st.sampled_from("+-"), max_size=50))
def test_connections_of_an_address_are_counted(steps: list[str]) -> None:
    counts, opened = AddressCounts(3), 0
    for step in steps:
        if step == "+" and not counts.is_full("a"):
            counts.add("a")
            opened += 1
        elif step == "-" and opened:
            counts.discard("a")
            opened -= 1
        assert counts.is_full("a") == (opened == 3)
        assert len(counts) == bool(opened)
    assert not counts.is_full("b")
    assert not counts.is_full("")
    assert len(counts) == bool(opened)
