from __future__ import annotations

import dataclasses
from math import inf, nan
from typing import Any

import pytest

from crosswire.core.limits import Heartbeat, Limits
from crosswire.errors import ConfigError

LIMITS = [field.name for field in dataclasses.fields(Limits)]
SECONDS = [name for name in LIMITS if name.endswith(("_timeout", "_time")) or name == "linger"]
RATES = [name for name in LIMITS if name.endswith("_rate")]
COUNTS = [name for name in LIMITS if name not in SECONDS + RATES]
NONE_ALLOWED = ("connections", "held", "address_connections", "address_rate", "message_rate", "byte_rate", "burst")
NO_NUMBERS: list[Any] = [0, -1, nan, inf, -inf, True, "10", None, [1]]


def test_limits_are_what_the_design_says() -> None:
    limits = Limits()
    assert (limits.max_message, limits.outbox, limits.rooms, limits.connections) == (1 << 20, 1 << 20, 100, None)
    assert (limits.handshake_timeout, limits.auth_timeout, limits.linger) == (10, 10, 5)


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", NO_NUMBERS)
def test_invalid_limits_are_refused(name: str, value: Any) -> None:
    given: dict[str, Any] = {name: value}
    if value is None and name in NONE_ALLOWED:
        assert getattr(Limits(**given), name) is None
        return
    with pytest.raises(ConfigError, match=f"{name}="):
        Limits(**given)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_and_sizes_are_whole_numbers(name: str) -> None:
    with pytest.raises(ConfigError, match="whole number"):
        Limits(**{name: 1.5})  # type: ignore[arg-type]
    least = {"headers": 5, "header_size": 256}.get(name, 1)
    assert getattr(Limits(**{name: least}), name) == least


@pytest.mark.parametrize("name", SECONDS + RATES)
def test_times_and_rates_may_be_fractions(name: str) -> None:
    assert getattr(Limits(**{name: 0.5}), name) == 0.5  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["interval", "timeout", "background"])
@pytest.mark.parametrize("value", NO_NUMBERS)
def test_invalid_times_of_a_heartbeat_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name}="):
        Heartbeat(**{name: value})


def test_a_heartbeats_text_is_a_string() -> None:
    with pytest.raises(ConfigError, match="text="):
        Heartbeat(text=None)  # type: ignore[arg-type]
    assert Heartbeat(text="ping").text == "ping"


@pytest.mark.parametrize(("name", "value"), [("headers", 4), ("header_size", 255)])
def test_limits_too_low_for_an_upgrade_are_refused(name: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"{name}={value}.*or more"):
        Limits(**{name: value})


def test_a_heartbeat_text_that_cannot_be_sent_is_refused() -> None:
    with pytest.raises(ConfigError, match="surrogate"):
        Heartbeat(text="\ud83d")
