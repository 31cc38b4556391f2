"""Measures how late the event loop runs what is due."""

from __future__ import annotations

import asyncio

from crosswire.core.tallies import Histogram
from crosswire.runtime import environment

LAG_INTERVAL = 0.25
"""Seconds between two measurements."""


async def watch_loop_lag(seconds: Histogram, interval: float = LAG_INTERVAL) -> None:
    """Count by how much a timer is late, again and again, until cancelled.

    A handler that holds the event loop makes it late, and so does a machine with too much to do. The timers of an event
    loop are exact to a millisecond or so.

    Args:
        seconds: where the delays are counted.
        interval: seconds between two measurements.
    """
    while True:
        began = environment.perf_counter()
        await asyncio.sleep(interval)
        seconds.observe(max(0.0, environment.perf_counter() - began - interval))
