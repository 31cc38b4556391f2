from __future__ import annotations

import asyncio
from typing import Any

import hiredis
import pytest

from crosswire.cluster.redis.commands import command
from crosswire.cluster.redis.log.moved_logs import KEYS_AT_ONCE, remove_moved_logs
from crosswire.errors import BusUnavailable


class Answers:
    """The replies of a Redis, in order, and what it was asked."""

    def __init__(self, *replies: Any) -> None:
        self.replies = list(replies)
        self.asked: list[bytes] = []

    def ask(self, encoded: bytes) -> asyncio.Future[Any]:
        self.asked.append(encoded)
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        reply.set_result(self.replies.pop(0))
        return reply


def scan(cursor: bytes) -> bytes:
    return command(b"SCAN", cursor, b"MATCH", rb"c\[w:m{*", b"COUNT", b"%d" % KEYS_AT_ONCE)


async def test_the_logs_that_are_held_elsewhere_are_removed() -> None:
    redis = Answers([b"7", []], [b"0", [b"c[w:m{4:chat1}", b"c[w:m{4:chat%7D%25}"]], 2)
    await remove_moved_logs(redis.ask, b"c[w:", lambda channel: channel != b"c[w:r:4:chat}%")
    assert redis.asked == [
        scan(b"0"),
        scan(b"7"),
        command(b"UNLINK", b"c[w:m{4:chat%7D%25}", b"c[w:l{4:chat%7D%25}"),
    ]


@pytest.mark.parametrize("reply", [None, hiredis.ReplyError("NOPERM scan")])
async def test_a_redis_that_does_not_answer_is_reported(reply: object) -> None:
    with pytest.raises(BusUnavailable, match=r"SCAN: (the connection was lost|NOPERM)"):
        await remove_moved_logs(Answers(reply).ask, b"cw:", lambda _channel: True)
