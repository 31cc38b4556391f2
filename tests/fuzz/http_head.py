"""Heads of HTTP requests: however the bytes are split, a request is read in the same way, or refused with a status."""

from __future__ import annotations

from crosswire.transport.http_head import RequestHead
from crosswire.transport.http_rules import BadRequestHead
from tests.fuzz.connections import LIMITS
from tests.fuzz.target import Finding

Request = tuple[str, str, tuple[tuple[str, str], ...], bool]
_PIECES = (1, 7)
"""Bytes of the pieces in which a head is fed again."""
UNKNOWN_METHOD = {400, 501}
"""Statuses of a method that nobody knows: 501 needs all of it in one piece, as the parser refuses its first letters."""


class HttpHeadTarget:
    """Target of ``transport/http_head.py``; without an event loop, so the quickest."""

    def start(self) -> None:
        """Need nothing to be made."""

    def run(self, data: bytes) -> None:
        """Read a head at once, and in pieces."""
        whole = read(data, len(data) or 1)
        if len(data) > LIMITS.header_size:
            return  # the line and the fields arrive apart, so the status may be 414 or 431
        for size in _PIECES:
            pieces = read(data, size)
            if pieces != whole and {pieces, whole} != UNKNOWN_METHOD:
                raise Finding(f"in pieces of {size} bytes it is {pieces}, at once {whole}")

    def stop(self) -> None:
        """Have nothing to undo."""


def read(data: bytes, size: int) -> Request | int | None:
    """Feed pieces of a size, and return what was read: the request, the status of its refusal, or None."""
    head = RequestHead(LIMITS)
    try:
        for start in range(0, len(data), size):
            if head.feed(data[start : start + size]):
                return _request(head)
    except BadRequestHead as bad:
        if bad.status not in (400, 414, 431, 501, 505) or not bad.reason:
            raise Finding(f"refused with {bad.status} {bad.reason!r}") from bad
        return bad.status
    return None


def _request(head: RequestHead) -> Request:
    if not head.method.isupper() or (not head.target.startswith(("/", "*")) and head.method != "CONNECT"):
        raise Finding(f"{head.method} {head.target!r}")
    fields = tuple(head.headers.items())
    for name, value in fields:
        if any(mark in name + value for mark in "\r\n\0"):
            raise Finding(f"a line break in the field {name!r}: {value!r}")
    return head.method, head.target, fields, head.upgrade
