"""``crosswire top``: the nodes of a cluster, and what they do, again and again."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping
from functools import partial
from typing import NoReturn

from crosswire.cli.failures import RUNTIME
from crosswire.cli.joined import require_same_dialect, run_joined
from crosswire.cli.output import as_json
from crosswire.cli.screen import Screen, full_screen
from crosswire.cli.top_data import NodeRow, RedisRow, as_data, node_rows, redis_rows
from crosswire.cli.top_view import picture
from crosswire.cluster.node import Node
from crosswire.types import NodeStatus

MIN_INTERVAL = 0.1
"""Seconds between two looks, at least."""
Rows = tuple[list[NodeRow], list[RedisRow]]


def top(options: argparse.Namespace) -> int:
    """Show the nodes, until q or Ctrl-C; or once, after one interval."""
    once = options.once or options.json or not sys.stdout.isatty() or sys.platform == "win32"

    async def work(node: Node) -> int:
        require_same_dialect(node)
        if once:
            return await _print_once(node, options.interval, json=options.json)
        with full_screen() as terminal:
            await _show(node, terminal, options.interval)
            return 0

    return run_joined(options, work)


async def _print_once(node: Node, interval: float, *, json: bool) -> int:
    poll = _Poll(node)
    await poll.rows()
    await asyncio.sleep(interval)
    nodes, redis = await poll.rows()
    print(as_json(as_data(nodes, redis)) if json else "\n".join(picture(nodes, redis)), flush=True)
    return RUNTIME if any(row.status is None for row in nodes) else 0


async def _show(node: Node, terminal: Screen, interval: float) -> None:
    ended = asyncio.create_task(terminal.ended.wait())
    shown = asyncio.create_task(_refresh(_Poll(node), terminal, interval))
    try:
        await asyncio.wait({ended, shown}, return_when=asyncio.FIRST_COMPLETED)
        if shown.done():
            await shown
    finally:
        for task in (ended, shown):
            task.cancel()
        await asyncio.gather(ended, shown, return_exceptions=True)


async def _refresh(poll: _Poll, terminal: Screen, interval: float) -> NoReturn:
    while True:
        rows = await poll.rows()
        await terminal.show(partial(picture, *rows), interval)


class _Poll:
    """Asks all nodes for their status, and keeps the answers to compare them with the next.

    Args:
        node: asks.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._before: Mapping[str, NodeStatus] = {}

    async def rows(self) -> Rows:
        """Return a row for each other node and for each Redis."""
        status = await self._node.status()
        own = self._node.name
        names = (self._node.nodes.keys() | set(status.missing) | status.errors.keys()) - {own}
        nodes = [row for row in node_rows(names, status, self._before) if row.name != own]
        self._before = status
        statuses = [row.status.redis for row in nodes if row.status is not None]
        return nodes, redis_rows(statuses or [self._node.redis.status()])
