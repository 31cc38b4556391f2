from __future__ import annotations

import asyncio

import hiredis
import pytest

from crosswire.cluster.redis.commands import command, publish
from crosswire.cluster.redis.publisher import Message, PlainPublish, Publisher, RedundantPublish, size_of
from crosswire.cluster.send_buffer import Budget
from tests.unit.cluster.redis.fake_redis import FakeRedis

MESSAGE = publish(b"c", b"", b"x")


class PublisherUnderTest:
    def __init__(self) -> None:
        self.budget = Budget(1000)
        self.refused: list[tuple[Message, str]] = []
        self.lost: list[Message] = []
        self.publisher = Publisher(self.budget, self)
        self.redis = FakeRedis()
        self.publisher.attach(self.redis.link, self._lost)

    def publish_refused(self, message: Message, error: str) -> None:
        self.refused.append((message, error))

    def _lost(self, reason: str) -> None:
        self.lost = self.publisher.detach()


async def test_each_reply_is_for_the_oldest_message() -> None:
    tested = PublisherUnderTest()
    tested.budget.free -= len(MESSAGE) * 2
    tested.publisher.publish(MESSAGE)
    first = tested.publisher.ask(command(b"PING"))
    tested.publisher.publish_as(PlainPublish(MESSAGE))
    second = tested.publisher.ask(command(b"PUBSUB", b"NUMSUB", b"c"))
    tested.redis.say(b":0\r\n+PONG\r\n")
    assert tested.budget.free == tested.budget.limit - len(MESSAGE)
    assert await first == b"PONG"
    tested.redis.say(b":7\r\n*2\r\n$1\r\nc\r\n:3\r\n")
    assert tested.budget.free == tested.budget.limit
    assert await second == [b"c", 3]


async def test_unacknowledged_messages_are_returned_in_order_and_commands_fail() -> None:
    tested = PublisherUnderTest()
    shared, plain = RedundantPublish(MESSAGE, 2, again=True), PlainPublish(MESSAGE)
    tested.publisher.publish_as(plain)
    asked = tested.publisher.ask(command(b"PING"))
    tested.publisher.publish(MESSAGE)
    tested.publisher.publish_as(shared)
    tested.publisher.connection.drop("enough")
    assert tested.lost == [plain, MESSAGE, shared]
    assert await asked is None
    assert await tested.publisher.ask(command(b"PING")) is None
    assert not tested.publisher.connection.connected


async def test_a_reply_to_a_cancelled_command_is_ignored() -> None:
    tested = PublisherUnderTest()
    asked = tested.publisher.ask(command(b"PING"))
    asked.cancel()
    await asyncio.sleep(0)
    tested.redis.say(b"+PONG\r\n")
    assert tested.publisher.connection.connected


async def test_an_unexpected_reply_ends_the_connection() -> None:
    tested = PublisherUnderTest()
    tested.redis.say(b":1\r\n")
    assert not tested.publisher.connection.connected


async def test_a_command_may_be_refused() -> None:
    tested = PublisherUnderTest()
    asked = tested.publisher.ask(command(b"PUBSUB", b"NUMSUB", b"c"))
    tested.redis.say(b"-NOPERM no\r\n")
    assert isinstance(await asked, hiredis.ReplyError)
    assert tested.publisher.connection.connected


async def test_a_message_may_be_refused() -> None:
    tested = PublisherUnderTest()
    tested.publisher.publish(MESSAGE)
    tested.redis.say(b"-NOPERM no\r\n")
    assert tested.refused == [(MESSAGE, "NOPERM no")]


@pytest.mark.parametrize("error", ["LOADING", "READONLY", "MASTERDOWN"])
async def test_a_publisher_that_can_not_publish_now_loses_nothing(error: str) -> None:
    tested = PublisherUnderTest()
    tested.publisher.publish(MESSAGE)
    tested.publisher.publish(MESSAGE)
    tested.redis.say(f"-{error} not now\r\n:1\r\n".encode())
    assert tested.lost == [MESSAGE, MESSAGE]
    assert not tested.refused


def test_the_size_of_messages() -> None:
    assert (
        size_of(MESSAGE)
        == size_of(PlainPublish(MESSAGE))
        == size_of(RedundantPublish(MESSAGE, 2, again=True))
        == len(MESSAGE)
    )
