"""Measures how long a message takes from one node to another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from crosswire.core.tallies import Histogram
from crosswire.runtime import environment
from crosswire.types import Replies

PING = "ping"
"""Service that answers at once, and does nothing else; see :class:`~crosswire.cluster.responders.Responders`."""
DELAY_INTERVAL = 2.0
"""Seconds between two measurements."""
DELAY_TIMEOUT = 5.0
"""Seconds after which an answer is not waited for any more."""

Ping = Callable[[str, float], Coroutine[Any, Any, Replies]]
"""Sends a request to a node of that name, and waits so many seconds for its answer."""


async def watch_bus_delay(
    ping: Ping, names: Callable[[], Collection[str]], seconds: Histogram, interval: float = DELAY_INTERVAL
) -> None:
    """Count how long a message takes to another member, a different one each time, until cancelled.

    It is half the time from a request to its answer: through the bus and both event loops, there and back, by this
    node's clock alone. A member that does not answer is not counted: its silence shows elsewhere.

    Args:
        ping: asks a member.
        names: returns the names of the other living members.
        seconds: where the delays are counted.
        interval: seconds between two measurements.
    """
    while True:
        await asyncio.sleep(interval)
        others = sorted(names())
        if not others:
            continue
        name = others[int(environment.random() * len(others))]
        began = environment.perf_counter()
        replies = await ping(name, DELAY_TIMEOUT)
        if name in replies or name in replies.errors:  # a node of another version might know no such service
            seconds.observe((environment.perf_counter() - began) / 2)
