"""``crosswire nodes``, ``send`` and ``call``: each joins the cluster as a node for a short time."""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from crosswire.cli.cluster_options import cluster_of
from crosswire.cli.failures import RUNTIME, USAGE, CommandFailed
from crosswire.cli.output import as_json, cluster_as_data, cluster_as_text, replies_as_data
from crosswire.cluster.node import Node
from crosswire.cluster.redis.application import is_embedded
from crosswire.cluster.redis.embedded.database import running_applications
from crosswire.cluster.redis.options import Redis
from crosswire.errors import BusUnavailable, NodeGone

_OPTIONS = {"native": "no --compat", "compat-msgpack": "--compat msgpack", "compat-json": "--compat json"}

Work = Callable[[Node], Coroutine[Any, Any, int]]


def nodes(options: argparse.Namespace) -> int:
    """Print the nodes of the cluster and the health of its Redis."""

    async def work(node: Node) -> int:
        members = sorted(info for name, info in node.nodes.items() if name != node.name)
        status = node.redis.status()
        print(
            as_json(cluster_as_data(members, status)) if options.json else cluster_as_text(members, status), flush=True
        )
        return 0

    return _run(options, work)


def send(options: argparse.Namespace) -> int:
    """Send an event to nodes or clients."""
    data = _data(options.data)

    async def work(node: Node) -> int:
        _require_same_dialect(node)
        _sender(options, node)(options.event, data)
        return 0

    return _run(options, work)


def call(options: argparse.Namespace) -> int:
    """Call one node or all, and print the answers."""
    name, event, text = _words(options)
    data = _data(text)

    async def work(node: Node) -> int:
        _require_same_dialect(node)
        if name is not None:
            print(as_json(await node.call(name, event, data, timeout=options.timeout)), flush=True)
            return 0
        others = node.nodes.keys() - {node.name}
        replies = await node.gather(event, data, to=others, timeout=options.timeout)
        print(as_json(replies_as_data(replies)), flush=True)
        return 0 if replies.complete and not replies.errors else RUNTIME

    return _run(options, work)


def _run(options: argparse.Namespace, work: Work) -> int:
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


def _require_same_dialect(node: Node) -> None:
    """Refuse to send if a member speaks another dialect, and would not understand it."""
    for name, dialect in sorted(node.incompatible_nodes.items()):
        advice = f"give {_OPTIONS[dialect]}" if dialect in _OPTIONS else "a newer version of crosswire may know it"
        raise CommandFailed(f"node {name!r} would not understand it, as it speaks {dialect!r}; {advice}", USAGE)


def _sender(options: argparse.Namespace, node: Node) -> Callable[[str, Any], None]:
    """Return the function that sends to the recipients that the options name."""
    if options.to:
        for name in options.to:
            if options.compat is None and name not in node.nodes:  # an original server is no member
                raise NodeGone(name)
        return lambda event, data: node.send(event, data, to=options.to)
    if options.nodes:
        return lambda event, data: node.send(event, data, include_self=False)
    if options.everyone:
        return node.everyone.send
    if options.room:
        return node.room(*options.room).send
    return node.users(options.users).send


def _words(options: argparse.Namespace) -> tuple[str | None, str, str | None]:
    """Return the node (None for all), the event and the data."""
    words = [*([None] if options.all else []), *options.words]
    if not 2 <= len(words) <= 3:
        wanted = "--all takes EVENT [JSON]" if options.all else "give NODE EVENT [JSON], or --all EVENT [JSON]"
        raise CommandFailed(wanted, USAGE)
    return words[0], words[1], words[2] if len(words) == 3 else None


def _data(text: str | None) -> Any:
    """Decode a JSON argument, or standard input for "-"."""
    if text is None:
        return None
    read = sys.stdin.buffer.read() if text == "-" else text.encode()
    try:
        return msgspec.json.decode(read)
    except msgspec.DecodeError as error:
        what = "standard input" if text == "-" else repr(text)
        raise CommandFailed(f"{what} is no JSON: {error}; a text needs quotes of its own: '\"text\"'", USAGE) from None
