from __future__ import annotations

import asyncio

import hiredis
import pytest

from crosswire.cluster.redis.commands import command, publish
from crosswire.cluster.redis.publisher import Message, Plain, Publisher, RedundantPublish, size_of
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


async def test_each_reply_is_for_the_first_that_waits() -> None:
    scene = PublisherUnderTest()
    scene.budget.free -= len(MESSAGE) * 2
    scene.publisher.publish(MESSAGE)
    first = scene.publisher.ask(command(b"PING"))
    scene.publisher.publish_as(Plain(MESSAGE))
    second = scene.publisher.ask(command(b"PUBSUB", b"NUMSUB", b"c"))
    scene.redis.say(b":0\r\n+PONG\r\n")
    assert scene.budget.free == scene.budget.limit - len(MESSAGE)
    assert await first == b"PONG"
    scene.redis.say(b":7\r\n*2\r\n$1\r\nc\r\n:3\r\n")
    assert scene.budget.free == scene.budget.limit
    assert await second == [b"c", 3]


async def test_what_waits_is_returned_in_order_and_questions_have_no_answer() -> None:
    scene = PublisherUnderTest()
    shared, plain = RedundantPublish(MESSAGE, 2, again=True), Plain(MESSAGE)
    scene.publisher.publish_as(plain)
    asked = scene.publisher.ask(command(b"PING"))
    scene.publisher.publish(MESSAGE)
    scene.publisher.publish_as(shared)
    scene.publisher.line.drop("enough")
    assert scene.lost == [plain, MESSAGE, shared]
    assert await asked is None
    assert await scene.publisher.ask(command(b"PING")) is None
    assert not scene.publisher.line.connected


async def test_an_answer_that_nobody_waits_for_any_more_is_no_trouble() -> None:
    scene = PublisherUnderTest()
    asked = scene.publisher.ask(command(b"PING"))
    asked.cancel()
    await asyncio.sleep(0)
    scene.redis.say(b"+PONG\r\n")
    assert scene.publisher.line.connected


async def test_an_answer_to_nothing_ends_the_connection() -> None:
    scene = PublisherUnderTest()
    scene.redis.say(b":1\r\n")
    assert not scene.publisher.line.connected


async def test_a_question_may_be_refused() -> None:
    scene = PublisherUnderTest()
    asked = scene.publisher.ask(command(b"PUBSUB", b"NUMSUB", b"c"))
    scene.redis.say(b"-NOPERM no\r\n")
    assert isinstance(await asked, hiredis.ReplyError)
    assert scene.publisher.line.connected


async def test_a_message_may_be_refused() -> None:
    scene = PublisherUnderTest()
    scene.publisher.publish(MESSAGE)
    scene.redis.say(b"-NOPERM no\r\n")
    assert scene.refused == [(MESSAGE, "NOPERM no")]


@pytest.mark.parametrize("error", ["LOADING", "READONLY", "MASTERDOWN"])
async def test_one_that_can_not_publish_now_loses_nothing(error: str) -> None:
    scene = PublisherUnderTest()
    scene.publisher.publish(MESSAGE)
    scene.publisher.publish(MESSAGE)
    scene.redis.say(f"-{error} not now\r\n:1\r\n".encode())
    assert scene.lost == [MESSAGE, MESSAGE]
    assert not scene.refused


def test_the_size_of_messages() -> None:
    assert (
        size_of(MESSAGE) == size_of(Plain(MESSAGE)) == size_of(RedundantPublish(MESSAGE, 2, again=True)) == len(MESSAGE)
    )
