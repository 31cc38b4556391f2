"""Reconnection to a Redis: when it is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from crosswire.core.backoff import Backoff
from crosswire.runtime import environment

_BACKOFF = Backoff(fast_retries=1, fast_interval=0.05, max_interval=1)


async def keep_connected(run_once: Callable[[], Awaitable[float]], stable_time: float) -> None:
    """Keep a connection to a Redis, opened again after each failure, until cancelled.

    Args:
        run_once: connects, and returns when the connection is lost: the seconds for which it worked.
        stable_time: seconds for which it must have worked to be opened again without a delay.
    """
    attempt = 0
    while True:
        attempt = 0 if await run_once() > stable_time else attempt + 1
        if attempt:
            await asyncio.sleep(_BACKOFF.delay(attempt, environment.random))
