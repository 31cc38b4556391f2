"""Joins a cluster as a node, for the work of one command."""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from crosswire.cli.cluster_options import cluster_of
from crosswire.cli.failures import USAGE, CommandFailed
from crosswire.cluster.node import Node
from crosswire.cluster.redis.application import is_embedded
from crosswire.cluster.redis.embedded.database import running_applications
from crosswire.cluster.redis.options import Redis
from crosswire.errors import BusUnavailable

_OPTIONS = {"native": "no --compat", "compat-msgpack": "--compat msgpack", "compat-json": "--compat json"}

Work = Callable[[Node], Coroutine[Any, Any, int]]
"""Work of a command as a member of the cluster; returns the exit code."""


def run_joined(options: argparse.Namespace, work: Work) -> int:
    """Join the cluster that the options name as a node, do the work, leave it, and return the exit code."""
    return asyncio.run(_join_and_work(cluster_of(options), work))


async def _join_and_work(redis: Redis, work: Work) -> int:
    # Errors of a Redis are in its status, which is printed or raised.
    logging.getLogger("crosswire").setLevel(logging.ERROR)
    _require_running(redis)
    async with _joined(redis) as node:
        return await work(node)


def _require_running(redis: Redis) -> None:
    """Refuse to start an embedded Valkey that no application uses: there would be no other node."""
    running: list[str] | None = None
    for url in redis.all_urls:
        if is_embedded(url):
            running = running_applications() if running is None else running
            if url not in running:
                others = f"; there are {', '.join(running)} (give one with --redis)" if running else ""
                raise BusUnavailable(
                    f"no application uses the Valkey {url}: run the command in the folder of the application{others}"
                )


@asynccontextmanager
async def _joined(redis: Redis) -> AsyncIterator[Node]:
    """Join the cluster as a node while a context lasts. At its end, all messages have been sent."""
    async with Node(f"cli-{secrets.token_hex(4)}", redis=redis, owns=()) as node:
        status = node.redis.status()
        if not any(each.healthy for each in status):
            reasons = "; ".join(f"{each.url}: {each.last_error or 'no answer'}" for each in status)
            raise BusUnavailable(f"no Redis can be reached: {reasons}")
        await node.wait_for_members()
        yield node


def require_same_dialect(node: Node) -> None:
    """Refuse to work if a member speaks another dialect: neither would understand the other, and the member would warn.

    Raises:
        CommandFailed: it does; the text says which option to give.
    """
    for name, dialect in sorted(node.incompatible_nodes.items()):
        advice = f"give {_OPTIONS[dialect]}" if dialect in _OPTIONS else "a newer version of crosswire may know it"
        raise CommandFailed(f"node {name!r} would not understand it, as it speaks {dialect!r}; {advice}", USAGE)
