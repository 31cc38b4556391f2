"""The process that runs the Valkey of ``redis="embedded"``: restarts it when it dies, and ends it with its last user.

It is run as ``python keeper.py DIRECTORY SERVER LOCK``. It imports only the standard library and is started from its
file, without site-packages. So it is ready in 0.05 s, needs a third of the memory, and does not depend on the module
path of the program that starts it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

if sys.platform != "win32":
    import fcntl

SOCKET = "redis.sock"
USERS_LOCK = "users.lock"
"""File with a shared lock of each user of the server. The kernel releases the lock of a process that dies."""

_MIN_DELAY, _MAX_DELAY = 0.05, 2.0
"""Seconds before a server that died is started again: the first time, and at most."""

_STABLE_TIME = 10.0
"""Seconds that a server must run for the next delay to be the shortest again."""

_MAX_LOG_SIZE = 1 << 20
"""Bytes after which the log is emptied."""


class Keeper:
    """Runs a command again and again until it is stopped."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._launching = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor")

    def start(self) -> None:
        """Run the command in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Kill the process, and wait until the thread has ended."""
        with self._launching:
            self._stopping.set()
            if self._process is not None:
                self._process.kill()  # it has nothing to save, and SIGKILL also ends a process that hangs
        if self._thread.is_alive():  # a thread that was not started starts no process any more
            self._thread.join()

    def _run(self) -> None:
        delay = _MIN_DELAY
        while not self._stopping.is_set():
            began = time.monotonic()
            outcome = self._run_once()
            if self._stopping.is_set():
                return
            if time.monotonic() - began > _STABLE_TIME:
                delay = _MIN_DELAY
            _log(f"{outcome}; it is started again in {delay} s")
            self._stopping.wait(delay)
            delay = min(delay * 2, _MAX_DELAY)

    def _run_once(self) -> str:
        try:
            with self._launching:
                if self._stopping.is_set():
                    return "not started"
                self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)
        except OSError as error:  # the program may be back soon, as after an upgrade
            return f"the server can't be started: {error}"
        return f"the server ended with {self._process.wait()}"


def server_command(directory: Path, server: Path) -> list[str]:
    """Return the command line of a server that only listens on a socket in ``directory``, and saves nothing."""
    options = {
        "port": ["0"],
        "unixsocket": [str(directory / SOCKET)],
        "unixsocketperm": ["700"],
        "dir": [str(directory)],
        "daemonize": ["no"],
        "save": [""],
        "appendonly": ["no"],
        # A subscriber that doesn't read must not use up the memory.
        "client-output-buffer-limit": ["pubsub", "64mb", "32mb", "30"],
    }
    return [str(server), *(word for name, values in options.items() for word in (f"--{name}", *values))]


def keep(directory: Path, server: Path, lock: int) -> None:
    """Run a server until nobody holds ``USERS_LOCK`` any more, or until SIGTERM.

    Args:
        directory: the directory of the locks and the socket.
        server: the program.
        lock: descriptor of the locked file that shows that a keeper runs.
    """
    # Programs that clean up /tmp spare a locked directory, however old its files are.
    fcntl.flock(os.open(directory, os.O_RDONLY), fcntl.LOCK_SH)
    users = os.open(directory / USERS_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    supervisor = Keeper(server_command(directory, server))
    try:
        # Set before the server is started: a signal in between would leave the server behind.
        signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit())
        supervisor.start()
        fcntl.flock(users, fcntl.LOCK_EX)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        supervisor.stop()
        (directory / SOCKET).unlink(missing_ok=True)
        # Released before the users' lock: a process that gets the users' lock must not find a keeper.
        fcntl.flock(lock, fcntl.LOCK_UN)


def _log(text: str) -> None:
    log = sys.stdout.fileno()
    with contextlib.suppress(OSError):  # the server must be started again even if the disk is full
        if os.fstat(log).st_size > _MAX_LOG_SIZE:
            os.ftruncate(log, 0)
        os.write(log, f"{text}\n".encode(errors="replace"))


def _main(directory: str, server: str, lock: str) -> None:
    # The starter waits for this process only. The child goes on without a parent, so that the system reaps it.
    if os.fork():
        os._exit(0)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # signals that the starter blocked are blocked here too
    keep(Path(directory), Path(server), int(lock))


if __name__ == "__main__":
    _main(*sys.argv[1:])
