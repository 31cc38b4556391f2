"""Formats of results: JSON for programs, tables for people."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from crosswire.types import LinkStatus, Locations, NodeInfo, Replies, RoomList

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def as_json(value: Any) -> str:
    """Return a value as JSON in one line; types that JSON does not have, such as MessagePack's own, become strings.

    Characters that a terminal would execute are escaped, as JSON allows for all.
    """
    text = msgspec.json.encode(value, enc_hook=repr).decode()
    return text if text.isprintable() else "".join(map(_json_character, text))


def replies_as_data(replies: Replies) -> dict[str, Any]:
    """Return the answers of several nodes, to be printed as JSON."""
    errors = {name: {"code": error.code, "message": error.message} for name, error in replies.errors.items()}
    return {"answers": dict(replies), "errors": errors, "missing": list(replies.missing)}


def cluster_as_data(nodes: Iterable[NodeInfo], redis: Iterable[LinkStatus]) -> dict[str, Any]:
    """Return the state of a cluster, to be printed as JSON."""
    return {"nodes": [each._asdict() for each in nodes], "redis": [each._asdict() for each in redis]}


def cluster_as_text(nodes: Iterable[NodeInfo], redis: Iterable[LinkStatus]) -> str:
    """Return the state of a cluster as two tables."""
    now = time.time()
    members = [(each.name, str(each.connections), duration(now - each.since), each.incarnation) for each in nodes]
    links = [(each.url, _health(each), _latency(each.latency), each.last_error or "") for each in redis]
    return "\n\n".join(
        (
            table(("NODE", "CONNECTIONS", "UP", "INCARNATION"), members or [("(none)", "", "", "")]),
            table(("REDIS", "HEALTH", "LATENCY", "LAST ERROR"), links),
        )
    )


def locations_as_data(found: Locations) -> dict[str, Any]:
    """Return users and their nodes, to be printed as JSON."""
    users = [{"user": user, "nodes": nodes} for user, nodes in found.users.items()]
    return {"users": users, "total": found.total, "exact": found.exact, "missing": list(found.missing)}


def rooms_as_data(found: RoomList) -> dict[str, Any]:
    """Return rooms and their nodes, to be printed as JSON."""
    rooms = [{**room._asdict(), "members": room.members} for room in found.rooms]
    return {"rooms": rooms, "total": found.total, "exact": found.exact, "missing": list(found.missing)}


def listing(head: Sequence[str], rows: Sequence[Sequence[str]], what: str, total: int, bound: str) -> str:
    """Return a table and a line with the number of its entries, and of all.

    Args:
        head: of the columns.
        rows: of the table.
        what: an entry, in the singular.
        total: number of all entries.
        bound: "at least" or "at most" if the total is not certain, else empty.
    """
    if len(rows) == total:
        count = f"{total} {what}{'' if total == 1 else 's'}"
    else:
        count = f"{len(rows)} of {f'{bound} {total}'.lstrip()} {what}s; --limit N shows more"
    return f"{table(head, rows)}\n\n{count}" if rows else count


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows as lines, with columns as wide as necessary."""
    lines = [head, *([_plain(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def duration(seconds: float) -> str:
    """Return a duration by its two largest units: "2d 3h", "5m 10s", "8s"."""
    parts: list[str] = []
    rest = max(int(seconds), 0)
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count or (parts and len(parts) < 2):
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"


def _health(status: LinkStatus) -> str:
    return "healthy" if status.healthy else "DOWN"


def _latency(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds:.1f} ms"


def _json_character(character: str) -> str:
    """Return a character as it is, or, if it is not printable, as JSON escapes it."""
    return character if character.isprintable() else json.dumps(character)[1:-1]


def _plain(text: str) -> str:
    """Return a cell with control characters replaced, as a terminal would execute them."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
