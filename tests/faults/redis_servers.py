"""The Redis of a cluster under test."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from crosswire.testing.proxy import TcpProxy
from crosswire.testing.redis_process import RedisProcess


async def start_servers(redis: Sequence[RedisProcess], stack: AsyncExitStack) -> list[str]:
    """Start them, until the stack is closed; return their URLs."""
    for each in redis:
        stack.callback(each.stop)
    await asyncio.gather(*[asyncio.to_thread(each.start) for each in redis])
    return [each.url for each in redis]


async def start_proxies(redis: Sequence[RedisProcess], stack: AsyncExitStack) -> list[TcpProxy]:
    """Start a proxy in front of each, until the stack is closed."""
    return [await stack.enter_async_context(TcpProxy("127.0.0.1", each.port)) for each in redis]


def urls_of(proxies: Sequence[TcpProxy]) -> list[str]:
    """Return the URLs of the Redis behind proxies."""
    return [f"redis://127.0.0.1:{proxy.port}" for proxy in proxies]
