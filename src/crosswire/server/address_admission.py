"""Limits on the WebSockets of each address, wherever they come from: the own listener, ASGI, or a route."""

from __future__ import annotations

import math
from collections.abc import Callable

from crosswire.core.address_limits import AddressCounts, AddressRates, address_key
from crosswire.core.limits import Limits
from crosswire.runtime import environment
from crosswire.transport.interface import Response

_RETRY_AFTER = 5
"""Seconds after which a client may try again, whose address has as many connections as it may have."""


class AddressAdmission:
    """Open connections, and new ones a second, by the address of the client.

    Args:
        connections: of one address; None for no limit.
        rate: of one address, a second; None for no limit.
        clock: returns seconds; None for that of the process.
    """

    __slots__ = ("_clock", "_counts", "_rates")

    def __init__(self, connections: int | None, rate: float | None, clock: Callable[[], float] | None = None) -> None:
        self._counts = None if connections is None else AddressCounts(connections)
        self._rates = None if rate is None else AddressRates(rate)
        self._clock = clock or (lambda: environment.monotonic())  # looked up each time: a simulation replaces it

    def refusal(self, remote: str) -> Response | None:
        """Return the refusal of a WebSocket from an address, or None; then it counts for the rate."""
        key = address_key(remote)
        if self._counts is not None and self._counts.is_full(key):
            return _too_many("this address has too many connections", _RETRY_AFTER)
        if self._rates is not None and (wait := self._rates.take(key, self._clock())) > 0:
            return _too_many("this address connects too often", wait)
        return None

    def opened(self, remote: str) -> None:
        """Count a connection that opened."""
        if self._counts is not None:
            self._counts.add(address_key(remote))

    def closed(self, remote: str) -> None:
        """Count a connection that is gone."""
        if self._counts is not None:
            self._counts.discard(address_key(remote))


def address_admission(limits: Limits) -> AddressAdmission | None:
    """Return what holds addresses to the limits, or None without any."""
    if limits.address_connections is None and limits.address_rate is None:
        return None
    return AddressAdmission(limits.address_connections, limits.address_rate)


def _too_many(reason: str, wait: float) -> Response:
    return Response(429, reason.encode(), {"Retry-After": str(max(1, math.ceil(wait)))})
