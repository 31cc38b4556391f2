"""The bus that the options of a node name."""

from __future__ import annotations

from collections.abc import Collection

from crosswire.cluster.compat import Compat
from crosswire.cluster.interface import Bus
from crosswire.cluster.redis.options import Redis
from crosswire.errors import ConfigError


def chosen_bus(redis: str | Collection[str] | Redis | None, bus: Bus | None) -> Bus | None:
    """Return the bus that a node's options ``redis`` and ``bus`` name; None if they name none.

    Raises:
        ConfigError: both are given, or one can't be used.
    """
    if redis is not None and bus is not None:
        raise ConfigError("give either redis= or bus=, not both")
    if bus is not None and (isinstance(bus, type) or not callable(getattr(bus, "attach", None))):
        advice = "redis= takes the urls of Redis" if isinstance(bus, str) else "give a bus, such as MemoryBus()"
        raise ConfigError(f"bus={bus!r}: {advice}")
    if redis is None:
        return bus
    return redis if isinstance(redis, Redis) else Redis(redis)


def compat_options(bus: Bus) -> Compat | None:
    """Return the options of the original's servers on a bus; None if there are none, as there can be on Redis only."""
    return bus.compat_options if isinstance(bus, Redis) else None


def is_redundant(bus: Bus) -> bool:
    """Return whether each message is published on two paths of a bus."""
    return isinstance(bus, Redis) and bus.delivery == "redundant"


def signing_keys(bus: Bus) -> tuple[bytes, ...]:
    """Return the keys with which nodes on a bus sign their messages; empty if they do not."""
    return bus.keys if isinstance(bus, Redis) else ()
