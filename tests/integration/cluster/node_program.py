"""A node in a process of its own, which tests kill and stop: ``python -m ... NAME URL PREFIX``."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from crosswire import Node, Redis
from crosswire.testing.redis_process import RedisProcess

_EXIT_TIMEOUT = 10.0


class Program:
    """The process of a node, as the test controls it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def signal(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)

    def ended(self) -> int | None:
        return self._process.poll()


@contextmanager
def program(name: str, redis: RedisProcess, bus: Redis) -> Iterator[Program]:
    """Start a node in a process; others learn of it when it is there. It is killed at the end."""
    process = subprocess.Popen([sys.executable, "-m", __name__, name, redis.url, bus.prefix], stderr=subprocess.DEVNULL)
    try:
        yield Program(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(_EXIT_TIMEOUT)


def main(name: str, url: str, prefix: str) -> None:
    node = Node(name, redis=Redis(url, prefix=prefix))
    never = asyncio.Event()
    node.on("echo", lambda sender, data: [name, data])
    node.on("nodes", lambda: list(node.nodes))
    node.on("hang", lambda: never.wait())
    node.run(drain=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
