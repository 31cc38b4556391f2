"""The connection to a Redis that holds logs, against a Redis that answers when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from crosswire.cluster.log.interface import Append, AppendFailure, NewMessage, RoomLog
from crosswire.cluster.redis.link import Link
from crosswire.cluster.redis.log.holder import Holder
from crosswire.cluster.redis.log.run import ASK_REPLICATION
from crosswire.cluster.redis.log.scripts import ALL, APPEND, Commands
from crosswire.core.positions import LogPosition
from crosswire.core.targets import ToRoom
from crosswire.errors import BusUnavailable
from crosswire.runtime.background_tasks import BackgroundTasks
from tests.support.aio import wait_until
from tests.unit.cluster.redis.fake_redis import FakeRedis

NOSCRIPT = b"-NOSCRIPT No matching script\r\n"
NOT_BEHIND, ANOTHER_RUN = b":0\r\n", b":1\r\n"


def kept(offset: int) -> bytes:
    position = b"epoch001.%d" % offset
    return b"$%d\r\n%b\r\n" % (len(position), position)


class Talk:
    """A holder, the Redis at its other end, and what became of the appends.

    Attributes:
        results: of the appends, by their number, in the order in which they came.
        changes: how often the holder could be reached, or no more.
        links: dialed before those to the Redis.
    """

    def __init__(self) -> None:
        self.results: list[tuple[int, object]] = []
        self.changes: list[bool] = []
        self.links: list[Link] = []
        self.redis = FakeRedis()
        self.run_id = b"one"
        commands = Commands(b"cw:", b"seed")
        self.holder = Holder("id", "redis://there", self.dial, commands, 1000.0, 5.0, self.changed)

    async def dial(self) -> Link:
        if self.links:
            return self.links.pop()
        self.redis = FakeRedis()
        return self.redis.link

    def changed(self, id: str) -> None:
        self.changes.append(self.holder.is_available)

    async def prepare(self) -> None:
        """Answer the questions before the first append, or before those that are sent again."""
        count = len(ALL) + 2
        await wait_until(lambda: len(self.redis.asked) >= count)
        for command in [self.redis.asked.popleft() for _ in range(count)]:
            if command[0] == b"SCRIPT":
                self.redis.say(b"$3\r\nsha\r\n")
            else:
                info = b"run_id:%b\r\nrole:master\r\nmaster_replid:1\r\n" % self.run_id
                self.redis.say(b"$%d\r\n%b\r\n" % (len(info), info))

    def append(self, number: int, previous: int = 0, room: str = "1") -> None:
        def keep(positions: Sequence[LogPosition]) -> None:
            self.results.append((number, [position.offset for position in positions]))

        def fail(failure: AppendFailure, _text: str) -> None:
            self.results.append((number, failure))

        log = RoomLog(ToRoom("chat", room), f"r:{room}".encode(), 100, 1.0)
        self.holder.append(Append(log, b"origin-1", previous, [NewMessage(number, b"x")], False, 0.0, keep, fail))

    async def sent(self, *numbers: int) -> list[list[bytes]]:
        """Wait until these appends are on their way, and take them; they are answered with ``redis.say``."""
        await wait_until(lambda: len(self.redis.asked) >= len(numbers))
        commands = [self.redis.asked.popleft() for _ in numbers]
        assert [command[1] for command in commands] == [APPEND.name] * len(numbers)
        assert [int.from_bytes(command[15][8:16], "little") for command in commands] == list(numbers)
        assert not self.redis.asked
        return commands


@asynccontextmanager
async def talk() -> AsyncIterator[Talk]:
    made, tasks = Talk(), BackgroundTasks()
    tasks.start(made.holder.run(), "holder")
    await made.prepare()
    await wait_until(lambda: made.holder.is_available)
    yield made
    await tasks.cancel()
    await made.holder.close(0.0)


def is_fresh(command: list[bytes]) -> bool:
    return int(command[14]) % 2 == 1


async def test_a_holder_that_is_stopped_while_it_connects_leaves_nothing() -> None:
    made, tasks = Talk(), BackgroundTasks()
    tasks.start(made.holder.run(), "holder")
    await wait_until(lambda: len(made.redis.asked) >= 5)
    await tasks.cancel()
    await made.holder.close(0.0)
    assert made.changes == []


async def test_a_connection_that_is_lost_right_behind_the_first_answers_is_not_used() -> None:
    made, tasks = Talk(), BackgroundTasks()
    tasks.start(made.holder.run(), "holder")
    await made.prepare()
    made.redis.link.close("cut")  # in the turn of the last answer
    await made.prepare()  # it connects again
    assert made.changes == []
    await wait_until(lambda: made.holder.is_available)
    made.append(1)
    await made.sent(1)
    await tasks.cancel()
    await made.holder.close(0.0)


async def test_a_connection_that_was_lost_before_it_was_used_is_opened_again() -> None:
    made, tasks = Talk(), BackgroundTasks()
    lost = Link()
    lost.close("cut")
    made.links.append(lost)
    tasks.start(made.holder.run(), "holder")
    await made.prepare()
    await wait_until(lambda: made.holder.is_available)
    await tasks.cancel()
    await made.holder.close(0.0)


async def test_appends_are_answered_in_their_order() -> None:
    async with talk() as made:
        for number in (1, 2, 3):
            made.append(number)
        await made.sent(1, 2, 3)
        made.redis.say(kept(5) + b"*2\r\n$8\r\nepoch001\r\n:7\r\n" + b"-OOM command not allowed\r\n")
        assert made.results == [(1, [5]), (2, [7]), (3, AppendFailure.REFUSED)]


async def test_what_fails_for_a_forgotten_script_is_sent_again_in_order_before_new_messages() -> None:
    async with talk() as made:
        for number, previous, room in [(1, 0, "1"), (2, 0, "2"), (3, 1, "1"), (4, 2, "2"), (5, 3, "1")]:
            made.append(number, previous, room)
        await made.sent(1, 2, 3, 4, 5)
        # Somebody else has loaded the script behind the first: the third may not be kept without it.
        made.redis.say(NOSCRIPT + kept(1) + NOT_BEHIND + kept(2))
        made.append(6, 5, "1")
        await asyncio.sleep(0)
        assert not made.redis.asked
        made.redis.say(NOT_BEHIND)
        assert made.results == [(2, [1]), (4, [2])]
        await made.prepare()
        again = await made.sent(1, 3, 5, 6)
        assert [is_fresh(command) for command in again] == [True, True, True, False]
        made.redis.say(kept(1) + kept(2) + kept(3) + kept(4))
        assert made.results[2:] == [(1, [1]), (3, [2]), (5, [3]), (6, [4])]


async def test_another_run_is_asked_for_before_anything_is_sent_again() -> None:
    async with talk() as made:
        made.append(1)
        (first,) = await made.sent(1)
        made.run_id = b"two"
        made.redis.say(ANOTHER_RUN)
        await made.prepare()
        (again,) = await made.sent(1)
        assert again[9] != first[9], "it does not name the run"
        assert is_fresh(again)
        made.redis.say(kept(1))
        assert made.results == [(1, [1])]


@pytest.mark.parametrize("refusal", [b"OOM command not allowed", b"NOREPLICAS Not enough good replicas", b"MISCONF x"])
async def test_a_message_behind_a_refused_one_is_refused(refusal: bytes) -> None:
    async with talk() as made:
        made.append(1)
        made.append(2, 1)
        await made.sent(1, 2)
        made.redis.say(b"-" + refusal + b"\r\n" + NOT_BEHIND)
        assert made.results == [(1, AppendFailure.REFUSED), (2, AppendFailure.REFUSED)]
        assert made.holder.is_available


async def test_everything_is_lost_with_the_connection_in_its_order() -> None:
    async with talk() as made:
        for number in (1, 2, 3):
            made.append(number)
        await made.sent(1, 2, 3)
        made.redis.say(NOSCRIPT)
        made.append(4)
        made.redis.link.close("cut")
        assert made.results == [(number, AppendFailure.LOST) for number in (1, 2, 3, 4)]
        assert made.changes == [True, False]
        await made.prepare()
        await wait_until(lambda: made.holder.is_available)
        made.append(1)
        await made.sent(1)


async def test_a_redis_that_is_a_replica_now_is_left_with_what_it_refuses() -> None:
    for refusal in (b"-READONLY You can't write\r\n", b"-ERR Error running script: @user_script:9: -READONLY You\r\n"):
        async with talk() as made:
            made.append(1)
            made.append(2)
            await made.sent(1, 2)
            made.redis.say(refusal)
            assert made.results == [(1, AppendFailure.LOST), (2, AppendFailure.LOST)]
            assert not made.holder.is_available


@pytest.mark.parametrize(
    "answer",
    [b"$3\r\nxyz\r\n", b"*1\r\n$8\r\nepoch001\r\n", b"*2\r\n$8\r\nepoch001\r\n$1\r\n?\r\n", b"$-1\r\n", b":9\r\n"],
)
async def test_an_answer_that_can_not_be_read_leaves_open_whether_it_is_kept(answer: bytes) -> None:
    async with talk() as made:
        made.append(1)
        made.append(2)
        await made.sent(1, 2)
        made.redis.say(answer + kept(1))
        assert made.results == [(1, AppendFailure.LOST), (2, AppendFailure.LOST)]
        assert not made.holder.is_available


async def test_an_unexpected_answer_ends_the_connection() -> None:
    async with talk() as made:
        made.redis.say(b"+OK\r\n")
        assert not made.holder.is_available


async def test_a_read_fails_as_any_other_if_the_connection_is_lost_while_the_run_is_asked_for() -> None:
    async with talk() as made:
        reading = asyncio.create_task(made.holder.read(lambda _is_fresh: ASK_REPLICATION))
        await wait_until(lambda: made.redis.asked)
        made.redis.asked.clear()
        made.redis.say(ANOTHER_RUN)
        await wait_until(lambda: made.redis.asked)
        made.redis.link.close("cut")
        with pytest.raises(BusUnavailable, match="redis://there"):
            await reading
