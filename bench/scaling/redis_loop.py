"""What a PUBLISH costs a Redis alone, by the number of connections that listen on its channel."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.native import SERVER_CORE, on_core
from bench.scaling.model import fit
from bench.scaling.processes import cpu_of
from crosswire.testing.redis_process import RedisProcess

RECEIVERS = (1, 2, 4, 8, 16, 32, 64)
JOINED = 16
"""Commands in one write, for what a PUBLISH costs a Redis that is busy."""
_CHANNEL, _BODY = b"cw:r:4:chat1000", b"x" * 160


def publish_costs(binary: str | Path, seconds: float, together: int = 1) -> tuple[float, float]:
    """Measure a PUBLISH; return its microseconds of CPU without receivers, and those of each receiver."""
    with on_core(SERVER_CORE), RedisProcess(binary) as redis:
        points = [(count, _cost(redis, count, seconds, together)) for count in RECEIVERS]
    publish, forward = fit([((1, count), cost) for count, cost in points])
    return publish, forward


def version_of(binary: str | Path) -> str:
    """Return the name and the version of a server's program."""
    words = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.split()
    number = next(word.removeprefix("v=") for word in words if word.startswith("v="))
    return f"{words[0]} {number}"


def _cost(redis: RedisProcess, receivers: int, seconds: float, together: int) -> float:
    with ExitStack() as opened:
        publisher = opened.enter_context(_connected(redis.port))
        listening = [opened.enter_context(_connected(redis.port)) for _ in range(receivers)]
        for each in listening:
            each.sendall(_command(b"SUBSCRIBE", _CHANNEL))
            each.recv(4096)
        command = _command(b"PUBLISH", _CHANNEL, _BODY) * together
        answer = len(b":%d\r\n" % receivers) * together
        message = len(_command(b"message", _CHANNEL, _BODY)) * together
        for _ in range(50):
            _round(publisher, command, answer, listening, message)
        published, began, cpu = 0, time.monotonic(), cpu_of(redis.pid)
        while time.monotonic() - began < seconds:
            _round(publisher, command, answer, listening, message)
            published += together
        return (cpu_of(redis.pid) - cpu) * 1e6 / published


def _round(
    publisher: socket.socket, command: bytes, answer: int, listening: Sequence[socket.socket], message: int
) -> None:
    """Publish, and wait until everybody has all of it."""
    publisher.sendall(command)
    _read(publisher, answer)
    for each in listening:
        _read(each, message)


def _read(connection: socket.socket, size: int) -> None:
    while size:
        size -= len(connection.recv(min(size, 65536)))


@contextmanager
def _connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(10)
        yield connection


def _command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
