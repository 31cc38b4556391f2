"""Owns the Valkey that ``redis="embedded"`` starts: restarts it while somebody uses it, and ends with the last user.

A process of its own, run as ``python keeper.py DIRECTORY SERVER LOCK``. It needs nothing but the standard library, so
it is started from its file, without site-packages: ready in 0.05 s, a third of the memory, and independent of how the
program that starts it came by its modules.
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
"""Held shared by everybody who uses the server; the kernel lets go of it for a process that dies."""

_SHORTEST, _LONGEST = 0.05, 2.0
"""Seconds before a server that died is started again: the first time, and at most."""

_STABLE = 10.0
"""Seconds after which a server has proved that it works: its death is the first one again."""

_LOG_SIZE = 1 << 20


class Keeper:
    """Runs a command, again whenever it ends, until it is told to stop."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._launching = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor")

    def start(self) -> None:
        """Start it."""
        self._thread.start()

    def stop(self) -> None:
        """End it and wait until it has ended."""
        with self._launching:
            self._stopping.set()
            if self._process is not None:
                self._process.kill()  # there is nothing that it would have to save, and a hung one ends too
        if self._thread.is_alive():  # one that has not begun launches nothing any more
            self._thread.join()

    def _run(self) -> None:
        delay = _SHORTEST
        while not self._stopping.is_set():
            began = time.monotonic()
            outcome = self._run_once()
            if self._stopping.is_set():
                return
            if time.monotonic() - began > _STABLE:
                delay = _SHORTEST
            _say(f"{outcome}; it is started again in {delay} s")
            self._stopping.wait(delay)
            delay = min(delay * 2, _LONGEST)

    def _run_once(self) -> str:
        try:
            with self._launching:
                if self._stopping.is_set():
                    return "not started"
                self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)
        except OSError as error:  # the program may be back soon: an upgrade replaces it
            return f"the server can't be started: {error}"
        return f"the server ended with {self._process.wait()}"


def server_command(directory: Path, server: Path) -> list[str]:
    """The command line of a server that listens on a socket in ``directory`` only, and keeps nothing."""
    options = {
        "port": ["0"],
        "unixsocket": [str(directory / SOCKET)],
        "unixsocketperm": ["700"],
        "dir": [str(directory)],
        "daemonize": ["no"],
        "save": [""],
        "appendonly": ["no"],
        # A subscriber that doesn't read must not eat the memory that all share.
        "client-output-buffer-limit": ["pubsub", "64mb", "32mb", "30"],
    }
    return [str(server), *(word for name, values in options.items() for word in (f"--{name}", *values))]


def keep(directory: Path, server: Path, lock: int) -> None:
    """Run a server until nobody holds ``USERS_LOCK`` any more, or until SIGTERM.

    Args:
        directory: of the locks and the socket.
        server: the program.
        lock: descriptor of the locked file that says that a keeper lives.
    """
    # Those who clean up /tmp leave a locked directory alone, however old the files in it are.
    fcntl.flock(os.open(directory, os.O_RDONLY), fcntl.LOCK_SH)
    users = os.open(directory / USERS_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    supervisor = Keeper(server_command(directory, server))
    try:
        # Before there is a server, which would be left behind.
        signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit())
        supervisor.start()
        fcntl.flock(users, fcntl.LOCK_EX)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        supervisor.stop()
        (directory / SOCKET).unlink(missing_ok=True)
        # Before the end lets go of the users' lock: whoever gets that one must not take us for alive.
        fcntl.flock(lock, fcntl.LOCK_UN)


def _say(text: str) -> None:
    log = sys.stdout.fileno()
    with contextlib.suppress(OSError):  # a full disk must not keep the server from being started again
        if os.fstat(log).st_size > _LOG_SIZE:
            os.ftruncate(log, 0)
        os.write(log, f"{text}\n".encode(errors="replace"))


def _main(directory: str, server: str, lock: str) -> None:
    # The starter waits for this process, and the other has no parent that would have to reap it.
    if os.fork():
        os._exit(0)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # signals that the starter blocked are blocked here too
    keep(Path(directory), Path(server), int(lock))


if __name__ == "__main__":
    _main(*sys.argv[1:])
