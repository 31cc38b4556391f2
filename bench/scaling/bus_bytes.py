"""The bytes and the messages between nodes and their Redis, as Redis counts them while it runs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from threading import Event, Thread
from typing import NamedTuple, TypeVar

from bench.native import BenchError
from bench.scaling.model import MemberTraffic, member_traffic, probe_bytes
from bench.scaling.runs import Cluster, Measured, Trial, run_once
from crosswire.testing.redis_process import RedisProcess

T = TypeVar("T")

INTERVAL = 0.1
"""Seconds between two looks."""
IDLE_TIME = 3.0
"""Seconds for which the bytes of messages about membership are counted."""
_QUESTION = len(b"*3\r\n$4\r\nINFO\r\n$5\r\nstats\r\n$12\r\ncommandstats\r\n")
_COUNTED = re.compile(
    r"^(?:total_net_(?:input|output)_bytes:|total_reads_processed:|cmdstat_publish:calls=)(\d+)", re.MULTILINE
)


class Look(NamedTuple):
    """What Redis had done at a time.

    Attributes:
        time: when it was.
        total: bytes that it had received and sent, without those of the looks.
        reads: reads from its connections, without those of the looks.
        published: PUBLISH commands that it had taken.
    """

    time: float
    total: int
    reads: int
    published: int


class Counted(NamedTuple):
    """What went over the bus.

    Attributes:
        size: bytes for each PUBLISH, both ways.
        per_second: PUBLISH commands.
        reads: reads for each PUBLISH; fewer than one where several come together.
    """

    size: float
    per_second: float
    reads: float = 1.0


class BytesOfRun(NamedTuple):
    """What went over the bus in a run, and what was said in it.

    Attributes:
        counted: the bytes, and PUBLISH commands.
        said: what was measured of each load of the run.
    """

    counted: Counted
    said: list[Measured]


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

    def during(self, run: Callable[[], T]) -> T:
        """Look while something runs, and return its result."""
        thread = Thread(target=self._look_again_and_again)
        thread.start()
        try:
            return run()
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
            received, sent, reads, published = map(int, _COUNTED.findall(text))
            self._own += _QUESTION
            reads_of_looks = len(self._looks) + 1
            total = received + sent - self._own
            self._looks.append(Look(time.monotonic(), total, reads - reads_of_looks, published))
            self._own += len(text) + len(b"$%d\r\n\r\n" % len(text))


def count(first: Look, last: Look) -> Counted:
    """Return what went over the bus between two looks."""
    published = last.published - first.published
    if not published:
        raise BenchError("nothing was published")
    return Counted(
        (last.total - first.total) / published,
        published / (last.time - first.time),
        (last.reads - first.reads) / published,
    )


def measure_bytes(running: Cluster, trial: Trial, seconds: float) -> BytesOfRun:
    """Return what goes over the bus while a trial runs."""
    bus = BusBytes(running.redis)
    said = bus.during(partial(run_once, running.serving, trial, seconds))
    return BytesOfRun(bus.counted_late(seconds * 0.6), said)


def meeting_in(runs: Sequence[BytesOfRun]) -> float:
    """Return the part of the messages of the rarer of two loads that came to Redis with one of the other."""
    return median(
        (1 - each.counted.reads) * each.counted.per_second / min(load.per_second for load in each.said) for each in runs
    )


def measure_member_bytes(running: Cluster) -> float:
    """Return the bytes of a message about membership to Redis, or from it."""
    bus = BusBytes(running.redis)
    bus.during(partial(time.sleep, IDLE_TIME))
    return member_bytes_of(bus.counted(), member_traffic(len(running.serving.ports)))


def member_bytes_of(counted: Counted, traffic: MemberTraffic) -> float:
    """Return the bytes of a message about membership, of all that went over the bus while nothing was said."""
    in_second = counted.size * counted.per_second - traffic.probes * probe_bytes()
    return in_second / (traffic.published + traffic.forwarded)
