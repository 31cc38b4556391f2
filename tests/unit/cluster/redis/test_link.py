from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crosswire.cluster.redis.link import Link, Unreachable
from tests.unit.cluster.redis.fake_redis import FakeRedis


def connected() -> tuple[FakeRedis, Link, list[Any], list[str]]:
    redis = FakeRedis()
    replies: list[Any] = []
    reasons: list[str] = []
    redis.link.listen(replies.append, reasons.append)
    return redis, redis.link, replies, reasons


async def test_commands_of_one_turn_leave_in_one_write_in_order() -> None:
    redis, link, _, _ = connected()
    link.send(b"*1\r\n$1\r\na\r\n")
    link.send(b"*1\r\n$1\r\nb\r\n*1\r\n$1\r\nc\r\n")
    assert redis.writes == 0
    await asyncio.sleep(0)
    assert redis.writes == 1
    assert list(redis.asked) == [[b"a"], [b"b"], [b"c"]]
    link.send(b"*1\r\n$1\r\nd\r\n")
    await asyncio.sleep(0)
    assert redis.writes == 2


async def test_replies_are_parsed_however_their_bytes_are_split() -> None:
    redis, link, replies, _ = connected()
    data = b":1\r\n$-1\r\n+OK\r\n*2\r\n$1\r\na\r\n:0\r\n:0\r\n"
    for index in range(len(data)):
        redis.say(data[index : index + 1])
    assert replies == [1, None, b"OK", [b"a", 0], 0]
    assert link.heard == len(data)


@pytest.mark.parametrize("how", ["close", "loss", "garbage"])
async def test_the_end_is_reported_once_and_last(how: str) -> None:
    redis, link, replies, reasons = connected()
    link.send(b"*1\r\n$1\r\na\r\n")
    if how == "close":
        link.close("enough")
    elif how == "loss":
        link.connection_lost(ConnectionResetError("reset"))
    else:
        redis.say(b":1\r\nwhat?\r\n:2\r\n")
    link.close("again")
    link.send(b"*1\r\n$1\r\nb\r\n")
    redis.say(b":3\r\n")
    await link.closed()
    assert len(reasons) == 1
    assert replies == ([1] if how == "garbage" else [])
    assert not redis.asked
    with pytest.raises(Unreachable):
        link.listen(replies.append, reasons.append)


async def test_a_reply_callback_may_close_the_link() -> None:
    redis, link, _, reasons = connected()
    replies: list[Any] = []

    def take(reply: Any) -> None:
        replies.append(reply)
        link.close("enough")

    link.listen(take, reasons.append)
    redis.say(b":1\r\n:2\r\n")
    assert (replies, reasons) == ([1], ["enough"])
    await link.closed()


async def test_a_link_closed_before_it_is_connected_closes_then() -> None:
    link = Link()
    link.close("too slow")
    await link.closed()
    FakeRedis(link)
    await asyncio.sleep(0)
