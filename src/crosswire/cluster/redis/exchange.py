"""The first words on a connection: a few commands, and their answers."""

from __future__ import annotations

import asyncio
from typing import Any

from crosswire.cluster.redis.link import Link

FOR_NOW = ("LOADING", "BUSY", "MASTERDOWN", "ERR max number of clients")
"""How refusals begin that will be over some time."""


async def exchange(link: Link, commands: list[bytes]) -> tuple[list[Any], str | None]:
    """Send commands over a new connection.

    What refuses a connection as a whole, such as too many of them, is said in place of the first answer.

    Returns:
        The answers, and None; or those that came before the connection was lost, and why it was.

    Raises:
        Unreachable: it is lost already.
    """
    answers = _Answers(len(commands))
    link.listen(answers.take, answers.lost)
    link.send(b"".join(commands))
    reason = await answers.ended
    return answers.replies, reason


class _Answers:
    """Waits for the answers.

    Attributes:
        replies: that came so far.
        ended: resolved when all are there, or, with the reason, when the connection is gone.
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
