"""Limits on what comes from one address of the network; an IPv6 network of 64 bits counts as one."""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict

MAX_ADDRESSES = 100_000
"""Addresses that are remembered; beyond, the one that was not heard of for the longest time is forgotten."""
BURST_TIME = 10
"""Seconds: as many as the rate allows in this time may come at once."""
_IPV6_HOST_BITS = 64
_FORGOTTEN_AT_ONCE = 2
"""Idle addresses that are forgotten at most whenever one is heard of, so that the table shrinks and no turn is long."""


def address_key(address: str) -> str:
    """Return what stands for the owner of an address; an empty text for a Unix socket, and where it is not known.

    It is the address of IPv4, even if it is mapped to IPv6, or the network of 64 bits of an IPv6 address, as that is
    what one customer has. The placeholder of a proxy that hides an address stands for itself.
    """
    if ":" not in address:
        return "" if address == "unknown" else address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if (mapped := found.ipv4_mapped) is not None:
        return str(mapped)
    return f"{int(found) >> _IPV6_HOST_BITS:x}::/64"


class AddressRates:
    """Token buckets by address.

    Args:
        rate: tokens a second for each address; ``BURST_TIME`` seconds' worth may be taken at once, at least one.
        scale: by which the burst is larger.
    """

    __slots__ = ("_due", "_interval", "_slack")

    def __init__(self, rate: float, scale: int = 1) -> None:
        self._interval = 1 / rate
        self._slack = max(BURST_TIME * scale, self._interval)
        self._due: OrderedDict[str, float] = OrderedDict()  # when all that was taken has grown again

    def __len__(self) -> int:
        return len(self._due)

    def take(self, key: str, now: float) -> float:
        """Take a token; return 0, or the seconds until there is one.

        Args:
            key: of the address; an empty one has no limit.
            now: the time, in seconds.
        """
        if not key:
            return 0.0
        due = max(self._due.get(key, now), now) + self._interval
        wait = due - now - self._slack
        if wait > 0:
            return wait
        self._due[key] = due
        self._due.move_to_end(key)
        self._forget_idle(now)
        return 0.0

    def _forget_idle(self, now: float) -> None:
        for _ in range(_FORGOTTEN_AT_ONCE):
            oldest = next(iter(self._due))
            if self._due[oldest] > now and len(self._due) <= MAX_ADDRESSES:
                return
            del self._due[oldest]
            if not self._due:
                return


class AddressCounts:
    """Number of open connections by address.

    Args:
        limit: for each address.
    """

    __slots__ = ("_limit", "_open")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def is_full(self, key: str) -> bool:
        """Return whether an address has as many connections as it may have; an empty key has no limit."""
        return bool(key) and self._open[key] >= self._limit

    def add(self, key: str) -> None:
        """Count a connection that opened."""
        self._open[key] += 1

    def discard(self, key: str) -> None:
        """Count a connection that is gone."""
        if self._open[key] > 1:
            self._open[key] -= 1
        else:
            del self._open[key]
