"""``crosswire users``, ``rooms`` and ``kick``: the clients of a cluster, and where they are."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

from crosswire.cli.failures import RUNTIME, CommandFailed
from crosswire.cli.joined import run_joined
from crosswire.cli.output import as_json, listing, locations_as_data, rooms_as_data
from crosswire.cluster.node import Node
from crosswire.core.audience import Audience


def users(options: argparse.Namespace) -> int:
    """Print the users that are connected, and to which nodes."""

    async def work(node: Node) -> int:
        found = await _audience(options, node).locate(prefix=options.prefix_of_ids, limit=options.limit)
        if options.json:
            print(as_json(locations_as_data(found)), flush=True)
        else:
            rows = [(user, str(sum(nodes.values())), _places(nodes)) for user, nodes in found.users.items()]
            bound = "" if found.exact else "at most"
            print(listing(("USER", "CONNECTIONS", "NODES"), rows, "user", found.total, bound), flush=True)
        return _exit_code(found.missing)

    return run_joined(options, work)


def rooms(options: argparse.Namespace) -> int:
    """Print the rooms that have members, and on which nodes."""

    async def work(node: Node) -> int:
        found = await node.list_rooms(options.namespace, prefix=options.prefix_of_ids, limit=options.limit)
        if options.json:
            print(as_json(rooms_as_data(found)), flush=True)
        else:
            rows = [(room.namespace, room.id, str(room.members), _places(room.nodes)) for room in found.rooms]
            bound = "" if found.exact else "at least"
            print(listing(("NAMESPACE", "ID", "MEMBERS", "NODES"), rows, "room", found.total, bound), flush=True)
        return _exit_code(found.missing)

    return run_joined(options, work)


def kick(options: argparse.Namespace) -> int:
    """Close all connections of a user."""

    async def work(node: Node) -> int:
        replies = await node.user(options.user).close(options.code, options.reason)
        closed = {name: count for name, count in sorted(replies.items()) if count}
        missing = (*replies.missing, *replies.errors)
        if options.json:
            print(as_json({"user": options.user, "closed": closed, "missing": list(missing)}), flush=True)
        elif closed:
            count = sum(closed.values())
            print(f"closed {count} connection{'' if count == 1 else 's'}: {_places(closed)}", flush=True)
        if not closed and not missing:
            raise CommandFailed(f"user {options.user!r} is not connected")
        return max(_exit_code(missing), 0 if closed else RUNTIME)

    return run_joined(options, work)


def _audience(options: argparse.Namespace, node: Node) -> Audience:
    """Return the users that the options name."""
    if options.room:
        return node.room(*options.room)
    return node.users(options.users) if options.users else node.everyone


def _places(counts: Mapping[str, int]) -> str:
    """Return names of nodes, with numbers behind those that have more than one."""
    return ", ".join(name if count == 1 else f"{name} ({count})" for name, count in sorted(counts.items()))


def _exit_code(missing: Sequence[str]) -> int:
    """Return the exit code, and say which nodes did not answer."""
    if missing:
        print(f"no answer from {', '.join(missing)}", file=sys.stderr, flush=True)
    return RUNTIME if missing else 0
