"""Reasons for closing a connection, in the words of all transports where picows has its own."""

from __future__ import annotations

import re

_REPHRASED = (
    (
        re.compile("Received CLOSE with invalid close code size: .*", re.DOTALL),
        "a Close frame with half of a close code",
    ),
    (re.compile(r"Received CLOSE with invalid close code: (\d+)"), r"the close code \1, which must not be sent"),
    (re.compile("Received CLOSE with invalid UTF-8 reason"), "text that is no UTF-8"),
    (re.compile(r"Received frame with payload size exceeding .* > (\d+)"), r"a message of more than \1 bytes"),
)


def common_reason(reason: str) -> str:
    """Return what other transports say for a reason that picows gives; the same if they have none for it."""
    for pattern, ours in _REPHRASED:
        if match := pattern.fullmatch(reason):
            return match.expand(ours)
    return reason
