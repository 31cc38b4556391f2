"""Reads the head of a usual request for a WebSocket that has come as a whole, as nearly every one."""

from __future__ import annotations

import re

from crosswire.core.headers import Headers
from crosswire.core.limits import Limits
from crosswire.transport.http_rules import are_usual

_HEAD = re.compile(
    rb"""GET\x20 (/[!-"$-~]*+) \x20HTTP/1\.1  # a path and no origin in front, and no fragment
    ((?: \r\n [A-Za-z0-9-]++ :\x20 [!-~][\x20-~]*+ )++) \r\n\r\n""",
    re.VERBOSE,
)
"""Pattern of a head of which nothing has to be decoded, joined or left out, but for spaces behind a value."""
_ASKS_FOR_UPGRADE = re.compile(r"\nconnection\0(?:keep-alive, )?[Uu]pgrade\n").search


def read_usual_head(data: bytes, limits: Limits) -> tuple[str, Headers] | None:
    """Return the target and the fields of a request for an upgrade, or None if something about it is not usual.

    That takes half as long as httptools' parser with its callbacks. The parser reads all that is read here in the same
    way; the rest it reads, or refuses.

    Args:
        data: what has come of the request.
        limits: of its head.
    """
    head = _HEAD.fullmatch(data)
    if head is None or len(data) > limits.header_size:
        return None
    target, block = head.groups()
    lines = block.decode("ascii").split("\r\n")
    del lines[0]  # it is empty
    if len(lines) > limits.headers:
        return None
    parts = ["\n"]
    for line in lines:
        name, _, value = line.partition(": ")
        parts += (name.lower(), "\0", value.rstrip(), "\n")
    fields = "".join(parts)
    if "\nupgrade\0" in fields and _ASKS_FOR_UPGRADE(fields) is not None and are_usual(fields):
        return target.decode("ascii"), Headers.of_text(fields)
    return None
