"""A bus with ``redis="embedded"``."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosswire.cluster.redis.application import application_of
from crosswire.cluster.redis.embedded.database import private_directory
from crosswire.cluster.redis.embedded.keeper import SOCKET
from crosswire.cluster.redis.options import Redis
from crosswire.testing.redis_process import RedisProcess
from tests.integration.cluster.redis.support import started_members
from tests.support.aio import wait_until

if not hasattr(socket, "SO_PEERCRED"):
    pytest.skip("who serves a Unix socket is only known on Linux", allow_module_level=True)


HERE = application_of("embedded")


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The socket of a server of the test's own, which must be gone at its end."""
    temporary = tempfile.mkdtemp(prefix="cw", dir="/tmp")
    monkeypatch.setattr(tempfile, "tempdir", temporary)
    monkeypatch.setenv("TMPDIR", temporary)
    place = private_directory(HERE) / SOCKET
    yield place
    deadline = time.monotonic() + 10
    while place.exists():
        assert time.monotonic() < deadline, "the server outlives its users"
        time.sleep(0.01)
    shutil.rmtree(temporary)


def server_of(path: Path) -> int:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        return int(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def test_nodes_of_one_machine_share_the_embedded_redis(path: Path) -> None:
    async with started_members(Redis("embedded"), 2) as (a, b):
        assert a.redis.urls == b.redis.urls == [HERE]
        assert a.port.paths == (f"unix:{path}",)
        await b.listen()
        a.port.publish(b"cw:test", b"x")
        await b.receives(b"x")


async def test_an_embedded_redis_comes_back_after_it_is_killed_with_its_keeper(path: Path) -> None:
    async with started_members(Redis("embedded"), 2) as (a, b):
        server = server_of(path)
        for pid in (parent_of(server), server):
            os.kill(pid, signal.SIGKILL)
        await wait_until(lambda: a.times("restored") == b.times("restored") == 1)
        assert server_of(path) != server
        await b.listen()
        a.port.publish(b"cw:test", b"x")
        await b.receives(b"x")


async def test_an_embedded_redis_may_be_added_and_removed(path: Path) -> None:
    with RedisProcess() as redis:
        async with started_members(Redis(redis.url)) as (a,):
            await a.redis.add("embedded")
            await a.redis.add("embedded")
            assert a.redis.urls == [redis.url, HERE]
            await a.redis.remove("embedded")
            assert a.redis.urls == [redis.url]
            await wait_until(lambda: not path.exists())
