"""``crosswire nodes``, ``send`` and ``call``: each joins the cluster as a node for a short time."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import msgspec

from crosswire.cli.failures import RUNTIME, USAGE, CommandFailed
from crosswire.cli.joined import require_same_dialect, run_joined
from crosswire.cli.output import as_json, cluster_as_data, cluster_as_text, replies_as_data
from crosswire.cluster.node import Node
from crosswire.core.audience import Audience
from crosswire.core.options import MAX_LISTED
from crosswire.errors import NodeGone


def nodes(options: argparse.Namespace) -> int:
    """Print the nodes of the cluster and the health of its Redis."""

    async def work(node: Node) -> int:
        members = sorted(info for name, info in node.nodes.items() if name != node.name)
        status = node.redis.status()
        print(
            as_json(cluster_as_data(members, status)) if options.json else cluster_as_text(members, status), flush=True
        )
        return 0

    return run_joined(options, work)


def send(options: argparse.Namespace) -> int:
    """Send an event to nodes or clients."""
    data = _data(options.data)

    async def work(node: Node) -> int:
        require_same_dialect(node)
        if options.to or options.nodes:
            _send_to_nodes(options, node, data)
        else:
            await _send_to_clients(options, node, data)
        return 0

    return run_joined(options, work)


def call(options: argparse.Namespace) -> int:
    """Call one node or all, and print the answers."""
    name, event, text = _words(options)
    data = _data(text)

    async def work(node: Node) -> int:
        require_same_dialect(node)
        if name is not None:
            print(as_json(await node.call(name, event, data, timeout=options.timeout)), flush=True)
            return 0
        others = node.nodes.keys() - {node.name}
        replies = await node.gather(event, data, to=others, timeout=options.timeout)
        print(as_json(replies_as_data(replies)), flush=True)
        return 0 if replies.complete and not replies.errors else RUNTIME

    return run_joined(options, work)


def _send_to_nodes(options: argparse.Namespace, node: Node, data: Any) -> None:
    for name in options.to or ():
        if options.compat is None and name not in node.nodes:  # an original server is no member
            raise NodeGone(name)
    node.send(options.event, data, to=options.to, include_self=False)
    if options.compat is None and len(node.nodes) == 1:
        raise CommandFailed("nobody got it: there is no other node")


async def _send_to_clients(options: argparse.Namespace, node: Node, data: Any) -> None:
    """Send to an audience, and say who is not there to get it."""
    audience = _audience(options, node)
    there = await audience.locate(limit=MAX_LISTED if options.users else 1)
    audience.send(options.event, data)
    silent = f"; no answer from {', '.join(there.missing)}" if there.missing else ""
    if there.total:
        for user in dict.fromkeys(options.users or ()):
            if user not in there.users and there.total == len(there.users):
                print(f"user {user!r} is not connected{silent}", file=sys.stderr, flush=True)
    elif options.compat is not None:
        print("nobody on Crosswire's servers got it; others do not tell", file=sys.stderr, flush=True)
    else:
        raise CommandFailed(f"nobody got it: {_nobody(options)}{silent}")


def _audience(options: argparse.Namespace, node: Node) -> Audience:
    """Return the clients that the options name."""
    if options.everyone:
        return node.everyone
    return node.room(*options.room) if options.room else node.users(options.users)


def _nobody(options: argparse.Namespace) -> str:
    """Say of the clients that the options name that there are none."""
    if options.everyone:
        return "no client is connected"
    if options.room:
        return f"the room {' '.join(options.room)!r} is empty"
    users = list(dict.fromkeys(options.users))
    return f"user {users[0]!r} is not connected" if len(users) == 1 else "none of the users is connected"


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
