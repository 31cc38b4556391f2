"""The bytes between nodes and their Redis, as Redis counts them while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Thread
from typing import NamedTuple, TypeVar

from crosswire.testing.redis_process import RedisProcess

T = TypeVar("T")

INTERVAL = 0.1
"""Seconds between two looks."""
_QUESTION = len(b"*2\r\n$4\r\nINFO\r\n$5\r\nstats\r\n")


class Look(NamedTuple):
    """The bytes that Redis had received and sent, without those of the looks, and when that was."""

    time: float
    total: int


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
        """Look while something runs; return its result."""
        thread = Thread(target=self._look_again_and_again)
        thread.start()
        try:
            return run()
        finally:
            self._ended.set()
            thread.join()

    def per_second(self, seconds: float) -> float:
        """Return the bytes in a second, in about so many seconds before the end, but for the very last moments."""
        last = self._looks[-3]
        first = next(each for each in self._looks if each.time >= last.time - seconds)
        return (last.total - first.total) / (last.time - first.time)

    def _look_again_and_again(self) -> None:
        while not self._ended.wait(INTERVAL):
            text = str(self._redis.command("INFO", "stats"))
            stats = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
            total = int(stats["total_net_input_bytes"]) + int(stats["total_net_output_bytes"])
            self._own += _QUESTION
            self._looks.append(Look(time.monotonic(), total - self._own))
            self._own += len(text) + len(b"$%d\r\n\r\n" % len(text))
