"""Reads the head of a usual request for a WebSocket that has come as a whole, as nearly every one."""

from __future__ import annotations

import re

from crosswire.core.headers import Headers
from crosswire.core.limits import Limits
from crosswire.transport.http_rules import are_usual

_HEAD = re.compile(
    rb"""GET\x20 (/[!-"$-~]*+) \x20HTTP/1\.1  # a path and no origin in front, and no fragment
    ((?: \r\n [A-Za-z0-9-]++ :\x20 [!-~][\x20-~]*+ )++ \r\n) \r\n""",
    re.VERBOSE,
)
"""Pattern of a head of which nothing has to be decoded, joined or left out, but for spaces behind a value."""
_ASK_FOR_UPGRADE = ("\r\nconnection: upgrade\r\n", "\r\nconnection: keep-alive, upgrade\r\n")


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
    fields = head[2].decode("ascii")
    if " \r\n" in fields or fields.count("\r\n") - 1 > limits.headers:
        return None
    text = fields.lower()
    if "\r\nupgrade: " not in text or (_ASK_FOR_UPGRADE[0] not in text and _ASK_FOR_UPGRADE[1] not in text):
        return None
    return (head[1].decode("ascii"), Headers.of_text(fields)) if are_usual(text) else None
