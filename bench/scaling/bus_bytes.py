"""The bytes between nodes and their Redis, as Redis counts them while it runs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial
from threading import Event, Thread
from typing import NamedTuple

from bench.native import BenchError
from bench.scaling.model import member_traffic
from bench.scaling.runs import Cluster, Trial, run_once
from crosswire.testing.redis_process import RedisProcess

INTERVAL = 0.1
"""Seconds between two looks."""
IDLE_TIME = 3.0
"""Seconds for which the bytes of messages about membership are counted."""
_QUESTION = len(b"*3\r\n$4\r\nINFO\r\n$5\r\nstats\r\n$12\r\ncommandstats\r\n")
_COUNTED = re.compile(r"^(?:total_net_(?:input|output)_bytes:(\d+)|cmdstat_publish:calls=(\d+))", re.MULTILINE)


class Look(NamedTuple):
    """What Redis had done at a time.

    Attributes:
        time: when it was.
        total: bytes that it had received and sent, without those of the looks.
        published: PUBLISH commands that it had taken.
    """

    time: float
    total: int
    published: int


class Counted(NamedTuple):
    """What went over the bus.

    Attributes:
        size: bytes for each PUBLISH, both ways.
        per_second: PUBLISH commands.
    """

    size: float
    per_second: float


class BusBytes:
    """Looks at a Redis again and again.

    Args:
        redis: the Redis.
    """

    def __init__(self, redis: RedisProcess) -> None:
        self._redis = redis
        self._own = 0
        self._looks: list[Look] = []
        self._ended = Event()

    def during(self, run: Callable[[], object]) -> None:
        """Look while something runs."""
        thread = Thread(target=self._look_again_and_again)
        thread.start()
        try:
            run()
        finally:
            self._ended.set()
            thread.join()

    def counted(self) -> Counted:
        """Return what went over the bus in the whole time."""
        return count(self._looks[0], self._looks[-1])

    def counted_late(self, seconds: float) -> Counted:
        """Return the same of about so many seconds before the end, but for the very last moments."""
        last = self._looks[-3]
        first = next(each for each in self._looks if each.time >= last.time - seconds)
        return count(first, last)

    def _look_again_and_again(self) -> None:
        while not self._ended.wait(INTERVAL):
            text = str(self._redis.command("INFO", "stats", "commandstats"))
            received, sent, published = (int(number) for found in _COUNTED.findall(text) for number in found if number)
            self._own += _QUESTION
            self._looks.append(Look(time.monotonic(), received + sent - self._own, published))
            self._own += len(text) + len(b"$%d\r\n\r\n" % len(text))


def count(first: Look, last: Look) -> Counted:
    """Return what went over the bus between two looks."""
    published = last.published - first.published
    if not published:
        raise BenchError("nothing was published")
    return Counted((last.total - first.total) / published, published / (last.time - first.time))


def measure_bytes(running: Cluster, trial: Trial, seconds: float) -> Counted:
    """Return what goes over the bus while a trial runs."""
    bus = BusBytes(running.redis)
    bus.during(partial(run_once, running.serving, trial, seconds))
    return bus.counted_late(seconds * 0.6)


def measure_member_bytes(running: Cluster) -> float:
    """Return the bytes of a message about membership to Redis, or from it."""
    bus = BusBytes(running.redis)
    bus.during(partial(time.sleep, IDLE_TIME))
    traffic = member_traffic(len(running.serving.ports))
    return bus.counted().size * traffic.published / (traffic.published + traffic.forwarded)
