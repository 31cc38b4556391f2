"""The logs on several Redis, each of which answers when the test says so."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from crosswire.cluster.log.interface import Append, AppendFailure, NewMessage, RoomLog
from crosswire.cluster.redis.endpoint import ProbeTiming
from crosswire.cluster.redis.endpoints import CLOSE_TIMEOUT
from crosswire.cluster.redis.link import Link
from crosswire.cluster.redis.log.log import RedisLog
from crosswire.cluster.redis.log.scripts import ALL
from crosswire.core.targets import ToRoom
from tests.support.aio import wait_until
from tests.support.loops import on_instant_loop
from tests.unit.cluster.redis.fake_redis import FakeRedis

ROOM = RoomLog(ToRoom("chat", "1"), b"r:1", 100, 1.0)


class FakeEndpoint:
    """A healthy endpoint whose Redis answers the questions before the first append, unless it is ``silent``."""

    retired = False
    healthy = True

    def __init__(self, id: str, *, silent: bool = False) -> None:
        self.id = id
        self.silent = silent
        self.address = self.dialer = self
        self.shown = f"redis://{id}"
        self.redis = FakeRedis()

    async def open(self, _role: str) -> Link:
        self.redis = FakeRedis()
        if not self.silent:
            asyncio.get_running_loop().call_soon(self._answer)
        return self.redis.link

    def _answer(self) -> None:
        if len(self.redis.asked) < len(ALL) + 2:
            asyncio.get_running_loop().call_soon(self._answer)
            return
        info = b"run_id:1\r\nrole:master\r\nmaster_replid:1\r\n"
        for _ in ALL:
            self.redis.say(b"$3\r\nsha\r\n")
        for _ in range(2):
            self.redis.say(b"$%d\r\n%b\r\n" % (len(info), info))
        self.redis.asked.clear()


class Endpoints:
    """The endpoints of a port that do not change."""

    def __init__(self, *used: FakeEndpoint) -> None:
        self.used = self.healthy = list(used)

    def watch(self, watcher: object) -> None: ...


class Events:
    def holder_changed(self, holder: str) -> None: ...

    def logs_moved(self) -> None: ...


def make_log(*endpoints: FakeEndpoint) -> RedisLog:
    return RedisLog(cast(Any, Endpoints(*endpoints)), "cw:", ProbeTiming(1.0, 60.0), Events())


@on_instant_loop
async def test_a_start_that_waits_ends_with_the_stop() -> None:
    log, loop = make_log(FakeEndpoint("a"), FakeEndpoint("b", silent=True)), asyncio.get_running_loop()
    starting, began = asyncio.create_task(log.start()), loop.time()
    await asyncio.sleep(0.5)
    await log.stop()
    await starting
    assert loop.time() - began < 1


@on_instant_loop
async def test_a_stop_that_is_cancelled_waits_for_no_answer_but_disconnects() -> None:
    endpoint, failures = FakeEndpoint("a"), list[AppendFailure]()
    log, loop = make_log(endpoint), asyncio.get_running_loop()
    await log.start()

    def fail(failure: AppendFailure, _why: str) -> None:
        failures.append(failure)

    log.append(Append(ROOM, b"origin-1", 0, [NewMessage(1, b"x")], False, 0.0, lambda _positions: None, fail))
    await wait_until(lambda: endpoint.redis.asked)
    stopping, began = asyncio.create_task(log.stop()), loop.time()
    await asyncio.sleep(CLOSE_TIMEOUT / 2)
    stopping.cancel()
    await asyncio.wait({stopping})
    assert loop.time() - began < CLOSE_TIMEOUT
    assert failures == [AppendFailure.LOST]
    assert asyncio.all_tasks() == {asyncio.current_task()}
