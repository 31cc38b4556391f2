"""The first commands on a connection, and their replies."""

from __future__ import annotations

import asyncio
from typing import Any

from crosswire.cluster.redis.link import Link

TEMPORARY_ERRORS = ("LOADING", "BUSY", "MASTERDOWN", "ERR max number of clients")
"""Beginnings of the texts of temporary errors."""


async def exchange(link: Link, commands: list[bytes]) -> tuple[list[Any], str | None]:
    """Send commands over a new connection, and wait for the replies.

    An error that refuses the whole connection, such as too many clients, comes in place of the first reply.

    Returns:
        All replies, and None; or the replies that came before the connection was lost, and the reason of the loss.

    Raises:
        Unreachable: the connection is lost already.
    """
    collected = _Replies(len(commands))
    link.listen(collected.take, collected.lost)
    link.send(b"".join(commands))
    reason = await collected.ended
    return collected.replies, reason


class _Replies:
    """Collects the replies.

    Attributes:
        replies: the replies up to now.
        ended: done with None when all replies have come, or with the reason when the connection is lost.
    """

    def __init__(self, expected: int) -> None:
        self.replies: list[Any] = []
        self.ended: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._expected = expected

    def take(self, reply: Any) -> None:
        self.replies.append(reply)
        if len(self.replies) == self._expected and not self.ended.done():
            self.ended.set_result(None)

    def lost(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)
